"""The fixture `use`: lets clients or backends of a rig speak the framing of framing.pyx, which is built if it has
changed."""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from building import built
from rig import TRANSPORT, Rig

from fastroute import snapshot


@pytest.fixture(scope="session")
def framing() -> Any:
    """The compiled module."""
    built("streams", "build/streams")
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


@pytest.fixture
def records(framing: Any) -> Iterator[None]:
    """The streams of `use` carry Messages as records (records.pyx)."""
    speak = importlib.import_module("streams.records").speak
    speak(True)
    yield
    speak(False)


@pytest.fixture(params=["plain", "tls"])
def transport(request: pytest.FixtureRequest) -> Iterator[str]:
    token = TRANSPORT.set(request.param)
    yield request.param
    TRANSPORT.reset(token)
