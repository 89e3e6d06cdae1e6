"""The fixture `use`: lets clients or backends of a rig speak the framing of framing.pyx, which is built if it has
changed."""

import fcntl
import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rig import TRANSPORT, Rig

from fastroute import snapshot

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BUILT = "build/streams"


@pytest.fixture(scope="session")
def framing() -> Any:
    """The compiled module. Several processes may run these tests at the same time."""
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    (ROOT / BUILT).mkdir(parents=True, exist_ok=True)
    with (ROOT / BUILT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, str(HERE / "build.py"), BUILT]
        ended = subprocess.run(
            command, env=environment, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    assert ended.returncode == 0, ended.stdout
    sys.path.append(str(ROOT / BUILT / "lib"))
    return importlib.import_module("streams.framing")


@pytest.fixture
def use(framing: Any) -> Callable[..., None]:
    def use(rig: Rig, *backends: str, downstream: bool = False) -> None:
        """New connections of clients carry streams, or those to these backends."""
        if downstream:
            framing.use(rig.engine)
        for name in backends:
            rig.upstreams.speak(name, snapshot.Backend(protocol="framed"))

    return use


@pytest.fixture(params=["plain", "tls"])
def transport(request: pytest.FixtureRequest) -> Iterator[str]:
    token = TRANSPORT.set(request.param)
    yield request.param
    TRANSPORT.reset(token)
