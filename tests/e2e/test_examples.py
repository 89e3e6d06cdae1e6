"""Runs every command in the examples' READMEs unchanged, and compares its output with the README.

The commands of one README run as one shell script, in a copy of examples/ with free ports. Every line of a `text` block
must occur in the output; differences in spaces are ignored.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from fastroute.demo.pods import copy_manifests, free_ports

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
READMES = sorted(EXAMPLES.glob("*/README.md"))
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITHIN = 300  # seconds for one README, on a machine that does much else


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy_manifests(EXAMPLES, tmp_path / "examples")
    shutil.copy(EXAMPLES / "grpc/server.py", tmp_path / "examples/grpc")
    return tmp_path


def blocks(readme: Path, kind: str) -> list[str]:
    return [text for found, text in BLOCK.findall(readme.read_text()) if found == kind]


def run(script: str, folder: Path) -> str:
    """The output of a script; all processes that it started are ended with it."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "FASTROUTE_METRICS": "off",
        "FASTROUTE_LOG_LEVEL": "error",
    }
    with (folder / "printed").open("w+") as printed:
        process = subprocess.Popen(
            ["bash", "-euc", script],
            cwd=folder,
            env=environment,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(WITHIN)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        printed.seek(0)
        said = printed.read()
    assert process.returncode == 0, said
    return said


def test_every_example_has_a_readme() -> None:
    folders = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
    assert folders == ["backend-tls", "cross-namespace", "fine-grained", "grpc", "multi-tenant", "shared-gateway"]
    assert [readme.parent.name for readme in READMES] == folders


@pytest.mark.timeout(WITHIN + 60)
@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_commands(readme: Path, folder: Path) -> None:
    script = "\n".join(blocks(readme, "sh"))
    if "openssl" in script and None in (shutil.which("openssl"), shutil.which("curl")):
        pytest.skip("openssl or curl is not installed")
    if shutil.which("curl") is None:
        if "call()" in script:
            pytest.skip("curl is not installed")
        script = "\n".join(line for line in script.splitlines() if "curl" not in line)
    port = free_ports(1)[0]
    script = script.replace("--port-offset 8000", f"--port-offset {port - 80}").replace(":8080", f":{port}")
    script = script.replace("/tmp/", f"{folder}/")
    printed = [" ".join(line.split()) for line in run(script, folder).splitlines()]
    wanted = [" ".join(line.split()) for text in blocks(readme, "text") for line in text.splitlines()]
    assert wanted
    assert [line for line in wanted if not any(line in each for each in printed)] == []
    if "/fruits?" in script:
        assert {'70 "service": "banana-echo"', '30 "service": "apple-echo"'} <= set(printed)
        assert {"7 500", "3 200"} <= set(printed)
