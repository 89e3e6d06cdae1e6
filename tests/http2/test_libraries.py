"""HTTP/2 clients of other languages and libraries: Go's net/http, Node's http2, and httpx for Python.

Each sends fifty POST requests at the same time on one connection, the one with number N with N times 1,000 bytes. The
backend answers with the same content and a trailer. Go and Node.js are skipped if they are not installed.
"""

import hashlib
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
import trio
from certificates import authority
from http2.client import agreeing
from http2.test_programs import needs, run
from peer import Peer
from rig import Rig, backends, rule, running

HERE = Path(__file__).parent
GO_MINOR = 24  # its net/http speaks HTTP/2 without TLS
REQUESTS = 50
pytestmark = pytest.mark.usefixtures("transport")


async def returning(peer: Peer) -> None:
    """Answers each request with its content, and with its number in a trailer."""
    while True:
        head, body = await peer.request()
        number = head.lower().split(b"x-number: ")[1].split(b"\r\n")[0]
        start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        content = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        await peer.send(start + content + b"0\r\nX-T: %s\r\n\r\n" % number)


def expected(number: int, trailer: str) -> str:
    """A line of a client: number, status, protocol, size and beginning of the SHA-256 of the content, trailer."""
    content = bytes([number]) * (1000 * number)
    words = (f"{number:02}", 200, "HTTP/2.0", len(content), hashlib.sha256(content).hexdigest()[:8], trailer)
    return " ".join(map(str, words))


def check(rig: Rig, lines: list[str], trailers: bool = True) -> None:
    assert lines == [expected(number, str(number) if trailers else "") for number in range(REQUESTS)]
    assert {line["protocol"] for line in rig.lines()} == {"HTTP/2"}
    assert len(rig.lines()) == REQUESTS


def words(rig: Rig, transport: str, folder: Path) -> tuple[list[str], list[Path]]:
    """The URL, and the file of the authority if the URL needs one."""
    (folder / "ca").write_text(authority().pem)
    return [f"http{'s' if transport == 'tls' else ''}://a:{rig.port}/"], [folder / "ca"] if transport == "tls" else []


@pytest.fixture
def go() -> str:
    """The name of Go, if it is installed and new enough."""
    if shutil.which("go") is None:
        pytest.skip("go is not installed")
    version = subprocess.run(["go", "env", "GOVERSION"], text=True, capture_output=True, check=True, timeout=60).stdout
    major, minor = version.strip().removeprefix("go").split(".")[:2]
    if (int(major), int(minor)) < (1, GO_MINOR):
        pytest.skip(f"go is older than 1.{GO_MINOR}")
    return "go"


async def test_go(go: str, transport: str, tmp_path: Path) -> None:
    program = tmp_path / "client"
    await run(go, "build", "-o", program, HERE / "clients/client.go", seconds=600)
    async with backends(returning) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        url, ca = words(rig, transport, tmp_path)
        check(rig, (await run(program, *url, f"127.0.0.1:{rig.port}", *ca)).decode().splitlines())


@needs("node")
async def test_node(transport: str, tmp_path: Path) -> None:
    async with backends(returning) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        url, ca = words(rig, transport, tmp_path)
        found = await run("node", HERE / "clients/client.js", *url, "127.0.0.1", str(rig.port), *ca)
        check(rig, found.decode().splitlines())


async def test_httpx(transport: str) -> None:
    found: dict[int, str] = {}

    async def ask(client: httpx.AsyncClient, port: int, number: int) -> None:
        url = f"http{'s' if transport == 'tls' else ''}://127.0.0.1:{port}/"
        answer = await client.post(
            url,
            content=bytes([number]) * (1000 * number),
            headers={"host": "a", "x-number": str(number)},
            extensions={"sni_hostname": "a"},
        )
        words = (answer.status_code, "HTTP/2.0" if answer.http_version == "HTTP/2" else answer.http_version)
        digest = hashlib.sha256(answer.content).hexdigest()[:8]
        found[number] = f"{number:02} {words[0]} {words[1]} {len(answer.content)} {digest} "

    async with backends(returning) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        async with (
            httpx.AsyncClient(http1=False, http2=True, verify=agreeing(), trust_env=False) as client,
            trio.open_nursery() as nursery,
        ):
            for number in range(REQUESTS):
                nursery.start_soon(ask, client, rig.port, number)
        check(rig, [found[number] for number in range(REQUESTS)], trailers=False)
