"""Runs every command in the examples' READMEs and in the guide to TCP and UDP unchanged, and compares their output.

The commands of one README run as one shell script, in a copy of examples/ with free ports. Every line of a `text` block
must occur in the output; differences in spaces are ignored. The copy is readable by all users: PostgreSQL does not run
as root.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from fastroute.demo.pods import copy_manifests, free_ports, is_free

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
READMES = sorted(EXAMPLES.glob("*/README.md"))
GUIDE = EXAMPLES.parent / "docs" / "tcp-and-udp.md"
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITHIN = 300  # seconds for one README, on a machine that does much else
OFFSET = 8000  # in the READMEs
PROGRAMS = {
    "backend-tls": ("openssl", "curl"),
    "dns": ("dnsmasq", "dig"),
    "docs": ("openssl",),
    "postgresql": ("openssl", "psql", "initdb", "stunnel", "setpriv"),
}


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fastroute-") as name:
        made = Path(name)
        made.chmod(0o755)
        copy_manifests(EXAMPLES, made / "examples")
        for script in ("grpc/server.py", "postgresql/pod.sh"):
            shutil.copy(EXAMPLES / script, made / "examples" / script)
        yield made


def is_installed(program: str) -> bool:
    """pod.sh looks for initdb where Debian has it, in a folder for each release."""
    if program == "initdb":
        return any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return shutil.which(program) is not None


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
    assert [readme.parent.name for readme in READMES] == folders
    assert [name for name in folders if f"[{name}]({name})" not in (EXAMPLES / "README.md").read_text()] == []


def listener_ports(example: Path) -> set[int]:
    objects = [one for path in example.glob("*.yaml") for one in yaml.safe_load_all(path.read_text())]
    return {each["port"] for one in objects if one["kind"] == "Gateway" for each in one["spec"]["listeners"]}


def is_unused(port: int) -> bool:
    """By TCP and by UDP."""
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return is_free(port)


def with_free_offset(script: str, ports: set[int]) -> str:
    """The script with another --port-offset, so that the ports of all listeners are free."""
    offset = next(
        chosen - max(ports)
        for chosen in free_ports(100)
        if all(map(is_unused, (chosen - max(ports) + port for port in ports)))
    )
    for port in ports:
        script = re.sub(rf"\b{OFFSET + port}\b", str(offset + port), script)
    return script.replace(f"--port-offset {OFFSET}", f"--port-offset {offset}")


@pytest.mark.timeout(WITHIN + 60)
@pytest.mark.parametrize("readme", [*READMES, GUIDE], ids=lambda path: path.parent.name)
def test_commands(readme: Path, folder: Path) -> None:
    script = "\n".join(blocks(readme, "sh"))
    if missing := [each for each in PROGRAMS.get(readme.parent.name, ()) if not is_installed(each)]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if shutil.which("curl") is None:
        if "call()" in script:
            pytest.skip("curl is not installed")
        script = "\n".join(line for line in script.splitlines() if "curl" not in line)
    if ports := listener_ports(readme.parent):
        script = with_free_offset(script, ports)
    script = script.replace("/tmp/", f"{folder}/")
    printed = [" ".join(line.split()) for line in run(script, folder).splitlines()]
    wanted = [" ".join(line.split()) for text in blocks(readme, "text") for line in text.splitlines()]
    assert wanted
    assert [line for line in wanted if not any(line in each for each in printed)] == []
    if "/fruits?" in script:
        assert {'70 "service": "banana-echo"', '30 "service": "apple-echo"'} <= set(printed)
        assert {"7 500", "3 200"} <= set(printed)
