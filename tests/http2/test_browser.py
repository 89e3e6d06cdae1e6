"""Chromium as a client: a page over HTTP/2, whose script calls a GRPCRoute of another origin with gRPC-Web."""

import json
import os
import shutil
from functools import partial
from pathlib import Path

import pytest
import trio
from http2.server import Channel, spoken
from http2.webclient import framed, read
from msgspec.structs import replace
from peer import Peer
from rig import OK, backends, rule, running

from fastroute.snapshot import Backend, Cors

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
INSTALL = "needs Chromium: sudo apt-get update && sudo apt-get install -y chromium"
WITHIN = 240  # seconds until the browser has made its call, on a busy machine
PAGE = """<!doctype html><script type="module">
const answer = await fetch("https://api.example.com:%d/a.B/C", {
  method: "POST", headers: {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}, body: new Uint8Array(5)});
const body = Array.from(new Uint8Array(await answer.arrayBuffer()));
const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
const protocols = entries.map(entry => entry.nextHopProtocol);
const said = {status: answer.status, type: answer.headers.get("content-type"), body, protocols};
await fetch("/report", {method: "POST", body: JSON.stringify(said)});
</script>"""


def browser(folder: Path, url: str) -> list[str]:
    """Its command; it resolves only the names of the test, and connects to nothing else."""
    resolved = "MAP *.example.com 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
    words = [CHROMIUM or "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", *quiet]
    return [
        *words,
        f"--user-data-dir={folder}",
        "--ignore-certificate-errors",
        f"--host-resolver-rules={resolved}",
        url,
    ]


async def replying(channel: Channel) -> None:
    await channel.request()
    await channel.answer([(":status", "200"), ("content-type", "application/grpc+proto")])
    await channel.content(framed(b"hello"))
    await channel.finish([("grpc-status", "0")])


@pytest.mark.parametrize("transport", ["tls"], indirect=True)
@pytest.mark.skipif(CHROMIUM is None, reason=INSTALL)
@pytest.mark.timeout(WITHIN + 60)
async def test_a_page_calls_another_origin(transport: str, tmp_path: Path) -> None:
    reported = trio.Event()
    said: list[bytes] = []

    async def site(peer: Peer) -> None:
        while True:
            head, body = await peer.request()
            if b"/report" in head.split(b"\r\n")[0]:
                said.append(body)
                reported.set()
                await peer.send(OK)
            else:
                page = (PAGE % rig.port).encode()
                fields = b"Content-Type: text/html\r\nContent-Length: %d" % len(page)
                await peer.send(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n%s" % (fields, page))

    async with backends(site, spoken(replying)) as [pages, calls], running(log=True) as rig:
        shared = Cors(origins=(f"https://page.example.com:{rig.port}",), methods=("POST",), headers=("*",))
        api = rule("calls", path="/a.B", hostname="api.example.com", name="1", filters=[shared])
        rig.install(rule("pages", hostname="page.example.com"), replace(api, calls=True))
        rig.upstreams.speak("calls", Backend(protocol="h2"))
        rig.put("pages", pages.port)
        rig.put("calls", calls.port)
        command = browser(tmp_path, f"https://page.example.com:{rig.port}/")
        environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        process = partial(trio.run_process, command, env=environment, check=False, capture_stderr=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process)
            with trio.fail_after(WITHIN):
                await reported.wait()
            nursery.cancel_scope.cancel()
        found = json.loads(said[0])
        answer = read(found["status"], {"content-type": found["type"]}, bytes(found["body"]))
        assert (answer.status, answer.messages, answer.outcome[0]) == (200, [b"hello"], "0")
        assert found["protocols"][0] == "h2"
        assert {line["protocol"] for line in rig.lines()} == {"HTTP/2"}
        assert {"GET", "OPTIONS", "POST"} == {line["method"] for line in rig.lines()}
