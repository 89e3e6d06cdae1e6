"""What the benchmarks count: requests of h2load that were lost, loads that hung, programs that are missing."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench import install
from bench.compare import Cost, Effort
from bench.compiled import compiled
from bench.http2 import Shape, counted
from bench.peers import PEERS, Setup, free_port, running
from bench.process import cores
from bench.report import repeat_lines
from bench.transport import TLS, Passed, client_hello, secure_port

ROOT = Path(__file__).parent.parent
SAID = "requests: {} total, {} started, {} done, {} succeeded, {} failed, 0 errored, 0 timeout\n"
SHAPE = Shape("/", connections=2, streams=8)


def test_every_part_can_be_imported() -> None:
    """Also those that no test runs."""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "bench").rglob("*.py")]
    assert "bench.kubernetes.__main__" in names
    program = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    subprocess.run([sys.executable, "-c", program, *names], env=environment, check=True, cwd=ROOT)


@pytest.mark.parametrize(
    ("started", "done", "succeeded", "failures"),
    [
        (100, 100, 100, 0),
        (116, 100, 100, 0),  # one request for each stream has no answer at the end
        (117, 100, 100, 1),
        (160, 100, 100, 44),  # lost with their connections
        (100, 100, 97, 3),  # answered with an error
        (130, 100, 97, 17),
    ],
)
def test_a_request_that_is_lost_with_its_connection_has_failed(
    started: int, done: int, succeeded: int, failures: int
) -> None:
    said = SAID.format(0, started, done, succeeded, done - succeeded)
    assert counted(said, SHAPE) == (succeeded, failures)


@pytest.mark.parametrize("said", ["", SAID.format(0, 16, 0, 0, 0)])
def test_a_load_without_a_success_is_no_measurement(said: str) -> None:
    with pytest.raises(RuntimeError):
        counted(said, SHAPE)


def test_loads_that_hung_are_reported() -> None:
    costs = [Cost("HTTP/2", "µs", "nginx", 1, 1, 1, 0, repeats) for repeats in (0, 2)]
    [line] = repeat_lines(costs)
    assert "2 loads hung" in str(line)


def test_a_missing_program_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SystemExit, match=r"h2load and nghttpd .*install -y nghttp2-client nghttp2-server"):
        install.require("h2load", "nghttpd")


def test_proxies_are_left_out() -> None:
    kept = Effort(without=frozenset(["envoy", "nginx"])).kept(PEERS.values())
    assert [peer.name for peer in kept] == ["fastroute", "nginx+fields", "haproxy"]


@pytest.mark.parametrize("first", [b"", client_hello()], ids=["plain", "tls"])
def test_new_connections_get_back_what_they_send(first: bytes, tmp_path: Path) -> None:
    (tmp_path / "first").write_bytes(first)
    port = free_port()
    with running("backend", [compiled("tunnels"), "serve", str(port)], port, cores()[0]):
        for seconds in ("0.2", "2", "20"):  # on a machine that does much else, no connection may end in the first time
            words = [compiled("tunnels"), "fresh", str(port), "2", seconds, str(tmp_path / "first")]
            found = msgspec.json.decode(subprocess.run(words, capture_output=True, check=True).stdout, type=Passed)
            if found.requests:
                break
    assert found.failures == 0
    assert found.bytes >= found.requests * (len(first) + 100) > 0


def test_a_program_that_is_being_compiled_is_never_seen_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.compiled.FOLDER", tmp_path)

    def compile_here(words: list[str], *, check: bool) -> None:
        made = Path(words[words.index("-o") + 1])
        made.write_text("half")
        assert not (tmp_path / "tunnels").exists()
        made.write_text("whole")

    monkeypatch.setattr(subprocess, "run", compile_here)
    assert Path(compiled("tunnels")).read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["tunnels"]


def test_the_second_port_of_a_proxy_must_be_free(tmp_path: Path) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        setup = Setup(one.getsockname()[1] - TLS, 1, 1, tmp_path, False)
        with pytest.raises(RuntimeError, match="in use"):
            secure_port(setup)
