"""Other implementations of HTTP/2 as clients: curl, nghttp and h2load. One that is not installed is skipped."""

import os
import re
import shutil
from pathlib import Path

import pytest
import trio
from certificates import authority
from rig import Rig, backends, reporting, rule, running, saying

pytestmark = pytest.mark.usefixtures("transport")

BODY = bytes(range(256)) * 4000
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
TRAILED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: yes\r\n\r\n"


def needs(program: str) -> pytest.MarkDecorator:
    """A mark, because a skip that is raised inside of a nursery loses its reason."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


async def run(*command: str | Path, seconds: float = 60) -> bytes:
    """What the program writes. It does not load the sanitizers of this process."""
    words = [str(word) for word in command]
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    with trio.fail_after(seconds):
        ended = await trio.run_process(words, env=environment, capture_stdout=True, capture_stderr=True)
    return bytes(ended.stdout)


def url(rig: Rig, transport: str, path: str = "/") -> str:
    return f"http{'s' if transport == 'tls' else ''}://a:{rig.port}{path}"


async def curl(rig: Rig, transport: str, folder: Path, *words: str | Path) -> bytes:
    (folder / "ca").write_text(authority().pem)
    prior = ["--http2"] if transport == "tls" else ["--http2-prior-knowledge"]
    return await run(
        *("curl", "-sS", "--fail", *prior, "--cacert", folder / "ca", "--resolve", f"a:{rig.port}:127.0.0.1"),
        *(*words, url(rig, transport)),
    )


@needs("curl")
async def test_curl_gets(transport: str, tmp_path: Path) -> None:
    async with backends(saying(LARGE)) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        assert await curl(rig, transport, tmp_path) == BODY
        assert rig.lines()[0]["protocol"] == "HTTP/2"


@needs("curl")
async def test_curl_puts(transport: str, tmp_path: Path) -> None:
    report: list[bytes] = []
    (tmp_path / "body").write_bytes(BODY)
    async with backends(reporting(report)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        assert await curl(rig, transport, tmp_path, "-T", tmp_path / "body") == b"ok"
        assert report[1] == BODY


def nghttp(rig: Rig, transport: str, *words: str | Path, path: str = "/") -> tuple[str | Path, ...]:
    return ("nghttp", "--no-verify-peer", *words, url(rig, transport, path).replace("//a:", "//127.0.0.1:"))


@needs("nghttp")
@pytest.mark.parametrize("transport", ["plain"], indirect=True)  # nghttp sends no server name for an address
async def test_nghttp(transport: str, tmp_path: Path) -> None:
    report: list[bytes] = []
    (tmp_path / "body").write_bytes(BODY)
    async with backends(reporting(report)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        assert await run(*nghttp(rig, transport, "-d", tmp_path / "body", "--trailer", "x-up: 1")) == b"ok"
        assert report[1] == BODY
    async with backends(saying(TRAILED)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        shown = (await run(*nghttp(rig, transport, "-v"))).decode()
        assert "hello" in shown
        assert "x-t: yes" in re.sub(r"\x1b\[\w*m", "", shown)


@needs("h2load")
@pytest.mark.parametrize("transport", ["plain"], indirect=True)
async def test_h2load(transport: str) -> None:
    async with (
        backends(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as [backend],
        running(rule("b")) as rig,
    ):
        rig.put("b", backend.port)
        shown = await run(
            "h2load", "-n", "1000", "-c", "4", "-m", "100", url(rig, transport).replace("//a:", "//127.0.0.1:")
        )
        assert b"1000 succeeded, 0 failed, 0 errored" in shown
        assert rig.counters.request_counts(1) == {200: 1000}
