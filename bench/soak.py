"""Mixed load with mutated requests against `fastroute serve`, for minutes: finds crashes, leaks and wrong responses.

Meant for a sanitizer build. Backends misbehave in every way a socket allows, clients send valid, mutated, truncated and
reset requests, half of them over TLS, and manifests and certificates change continuously. It fails if the server
crashes, a sanitizer reports an error, a valid request gets a wrong response, or the exit code is not 0. Memory over
time is reported. All traffic stays on 127.0.0.0/8, is limited in rate and time, and ends by itself.
"""

import argparse
import contextlib
import json
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import trio

from bench.kubernetes.certificate import HOST, secret
from bench.peers import free_port

RIGHT = ("plain", "chunked", "until-close", "hints", "large", "slow")  # always respond with 200
WRONG = ("early", "reset", "half", "garbage", "mute")
SANITIZER = re.compile(rb"AddressSanitizer|LeakSanitizer|runtime error:")
ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


# --- backends: raw HTTP/1.1; the path selects the behaviour: /BEHAVIOUR/…

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright"
ANSWERS = {  # behaviour: (pieces to send, keep the connection afterwards)
    "plain": ([ANSWER], True),
    "early": ([ANSWER], False),
    "hints": ([b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", ANSWER], True),
    "chunked": (
        [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r",
            b"\nri\r\n3;x=",
            b"y\r\nght\r\n0\r\nX: 1\r\n\r\n",
        ],
        True,
    ),
    "until-close": ([b"HTTP/1.1 200 OK\r\n\r\n", b"right"], False),
    "large": ([b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", b"x" * 300_000], True),
    "half": ([b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf"], False),
}


class Backend:
    """Serves requests on a connection until it ends; never raises."""

    async def serve(self, stream: trio.SocketStream) -> None:
        try:
            with trio.move_on_after(30):
                while await self._answer_one(stream):
                    pass
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def _answer_one(self, stream: trio.SocketStream) -> bool:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = await stream.receive_some(65536)
            if not piece:
                return False
            received += piece
        head, _, rest = received.partition(b"\r\n\r\n")
        name = head.split(b" ", 2)[1].partition(b"/")[2].partition(b"/")[0].decode("latin-1")
        if name != "early":
            await self._read_body(stream, head, rest)
        return await self._answer(stream, name, is_head=head.startswith(b"HEAD "))

    async def _read_body(self, stream: trio.SocketStream, head: bytes, rest: bytes) -> None:
        length = re.search(rb"(?mi)^content-length: *(\d+)", head)
        chunked = re.search(rb"(?mi)^transfer-encoding:", head)
        missing = int(length[1]) - len(rest) if length else 0
        while missing > 0 or (chunked and not rest.endswith(b"0\r\n\r\n")):
            piece = await stream.receive_some(65536)
            if not piece:
                return
            missing -= len(piece)
            rest = rest[-16:] + piece

    async def _answer(self, stream: trio.SocketStream, name: str, *, is_head: bool) -> bool:
        if name == "reset":
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            return False
        if name == "mute":
            await trio.sleep(1.5)
            return False
        if name == "garbage":
            await stream.send_all(random.randbytes(random.randrange(1, 400)))
            return random.random() < 0.5
        if name == "slow":
            await trio.sleep(0.05)
        pieces, keep = ANSWERS.get(name, ANSWERS["plain"])
        if is_head:
            pieces = [b"".join(pieces).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"] if name != "hints" else [ANSWER[:-5]]
        for piece in pieces:
            await stream.send_all(piece)
        return keep


# --- manifests


def team(name: str, backend_port: int, edit: int) -> str:
    endpoints = ", ".join(f'{{"addresses": ["{address}"]}}' for address in ADDRESSES[: 1 + edit % 3])
    return f"""---
{{apiVersion: v1, kind: Service, metadata: {{name: s, namespace: {name}}}, spec: {{ports: [{{port: 80}}]}}}}
---
{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {{name: s, namespace: {name},
  labels: {{kubernetes.io/service-name: s}}}}, ports: [{{port: {backend_port}}}], endpoints: [{endpoints}]}}
---
{{apiVersion: gateway.networking.k8s.io/v1, kind: ReferenceGrant, metadata: {{name: g, namespace: {name}}}, spec: {{
  from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: infra}}],
  to: [{{group: "", kind: Service}}]}}}}
"""


def manifests(backend_port: int, edit: int) -> str:
    """One Gateway, the Services of two teams, filters, timeouts. `edit` varies weights, header values and endpoints."""
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra}}
spec:
  gatewayClassName: fastroute
  listeners:
  - {{name: proxy, port: 80, protocol: HTTP}}
  - {{name: secure, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{{name: turning, namespace: bench}}]}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {{name: g, namespace: bench}}
spec:
  from: [{{group: gateway.networking.k8s.io, kind: Gateway, namespace: infra}}]
  to: [{{group: "", kind: Secret}}]
{team("apples", backend_port, edit)}{team("bananas", backend_port, edit + 1)}---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r, namespace: infra}}
spec:
  parentRefs: [{{name: gw}}]
  rules:
  - timeouts: {{request: 1s}}
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {{set: [{{name: X-Edit, value: "{edit}"}}], add: [{{name: X-A, value: b}}], remove: [x-c]}}
    - type: ResponseHeaderModifier
      responseHeaderModifier: {{set: [{{name: X-Edit, value: "{edit}"}}]}}
    - type: CORS
      cors: {{allowOrigins: ["https://*.example.com"], allowMethods: ["*"], maxAge: {1 + edit}}}
    - type: RequestMirror
      requestMirror: {{backendRef: {{name: s, namespace: bananas, port: 80}}, percent: {edit % 101}}}
    retry: {{attempts: {edit % 4}, codes: [500, 503], backoff: 5ms}}
    backendRefs:
    - {{name: s, namespace: apples, port: 80, weight: {1 + edit % 7}}}
    - {{name: s, namespace: bananas, port: 80, weight: 3}}
  - matches: [{{path: {{type: PathPrefix, value: /old}}}}]
    filters:
    - type: RequestRedirect
      requestRedirect: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /new}}}}
"""


# --- clients


def valid_request(behaviour: str) -> bytes:
    """A well-formed request for `/BEHAVIOUR/…`, with a random method and framing."""
    path = f"/{behaviour}/{random.randrange(1000)}?q={random.randrange(9)}".encode()
    fields = b"Host: soak.example\r\nX-Pad: " + b"p" * random.randrange(200) + b"\r\n"
    shape = random.randrange(4)
    if shape == 0:
        body = b"b" * random.choice((0, 1, 500, 20_000))
        return b"POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (path, fields, len(body), body)
    if shape == 1:
        chunks = b"".join(b"%x\r\n%s\r\n" % (size, b"c" * size) for size in random.choices(range(1, 3000), k=3))
        return b"PUT %s HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n" % (path, fields, chunks)
    extra = b"Connection: keep-alive, x-pad\r\n" if shape == 2 else b""
    return b"GET %s HTTP/1.1\r\n%s%s\r\n" % (path, fields, extra)


INSERTS = (
    b"\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"%2e%2e/",
    b"Host: other\r\n",
    b"Connection: close\r\n",
)


def mutated(request: bytes) -> bytes:
    """`request` with a few bytes changed, removed, repeated or inserted."""
    data = bytearray(request)
    for _ in range(random.randrange(1, 6)):
        at = random.randrange(min(len(data), 400) + 1)
        end = at + random.randrange(1, 40)
        kind = random.randrange(5)
        if kind == 0:
            data[at : at + 1] = bytes([random.choice(b"\0\r\n \t:;,/%\x7f\xff09afAZ")])
        elif kind == 1:
            del data[at:end]
        elif kind == 2:
            data[at:at] = data[at:end]
        elif kind == 3:
            data[at:at] = random.choice(INSERTS)
        elif random.random() < 0.3:
            del data[at:]
    return bytes(data)


async def read_status(stream: trio.abc.ReceiveStream) -> int:
    """The final status of the first response; 0 if the connection ended without one."""
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            piece = await stream.receive_some(65536)
            if not piece:
                return 0
            data += piece
        head, _, data = data.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        if status >= 200:
            return status


class Clients:
    """Concurrent clients; `counts` has their results, `wrong` the unexpected ones."""

    def __init__(self, port: int, secure_port: int) -> None:
        self.port, self.secure_port = port, secure_port
        self._tls = ssl.create_default_context()
        self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE  # the certificate changes continuously
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def run(self, until: float) -> None:
        kinds = (
            *(self._right, self._right, self._right, self._mutant, self._mutant, self._mutant),
            *(self._pipeline, self._pipeline, self._leaver, self._leaver, self._scrambler),
        )
        while trio.current_time() < until:
            with trio.move_on_after(8) as scope:
                try:
                    await random.choice(kinds)()
                except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                    self.counts["socket error"] += 1
            if scope.cancelled_caught:
                self.counts["gave up"] += 1
            await trio.sleep(0.002)

    async def _open(self) -> "trio.SocketStream | trio.SSLStream[trio.SocketStream]":
        """Opens a plain or a TLS connection, with equal probability."""
        if random.random() < 0.5:
            return await trio.open_tcp_stream("127.0.0.1", self.port)
        stream = await trio.open_tcp_stream("127.0.0.1", self.secure_port)
        secure = trio.SSLStream(stream, self._tls, server_hostname=HOST, https_compatible=True)
        await secure.do_handshake()
        self.counts["handshakes"] += 1
        return secure

    async def _scrambler(self) -> None:
        """A handshake whose bytes are changed or truncated on the way, in any of its flights."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = self._tls.wrap_bio(incoming, outgoing, server_hostname=HOST)
        with trio.move_on_after(1.0):
            async with await trio.open_tcp_stream("127.0.0.1", self.secure_port) as stream:
                for _ in range(4):
                    with contextlib.suppress(ssl.SSLError):
                        peer.do_handshake()
                        peer.write(b"GET /plain/1 HTTP/1.1\r\nHost: a\r\n\r\n")
                    data = outgoing.read()
                    await stream.send_all(mutated(data) if data and random.random() < 0.5 else data)
                    incoming.write(await stream.receive_some(65536))
        self.counts["scrambled handshakes"] += 1

    async def _right(self) -> None:
        behaviour = random.choice(RIGHT)
        request = valid_request(behaviour)
        try:
            async with await self._open() as stream:
                await stream.send_all(request)
                status = await read_status(stream)
        except (OSError, trio.BrokenResourceError) as error:
            self.wrong.append(f"/{behaviour}: {error!r}")
            return
        self.counts[f"valid {status}"] += 1
        # If a backend closes a kept-alive connection, a request that must not be repeated gets a 502.
        if status != 200 and (status != 502 or request.startswith(b"GET ")):
            self.wrong.append(f"/{behaviour}: {status}")

    async def _mutant(self) -> None:
        data = mutated(valid_request(random.choice(RIGHT + WRONG)))
        step = random.choice((1, 7, 1000, len(data) + 1))
        with trio.move_on_after(1.0):
            async with await self._open() as stream:
                for start in range(0, min(len(data), 3000 if step == 1 else len(data)), step):
                    await stream.send_all(data[start : start + step])
                self.counts[f"mutated {await read_status(stream)}"] += 1

    async def _pipeline(self) -> None:
        requests = [valid_request(random.choice(RIGHT + WRONG)) for _ in range(random.randrange(2, 9))]
        with trio.move_on_after(1.0):
            async with await self._open() as stream:
                await stream.send_all(b"".join(requests))
                while await stream.receive_some(65536):
                    pass
        self.counts["pipelines"] += 1

    async def _leaver(self) -> None:
        stream = await self._open()
        data = valid_request(random.choice(RIGHT + WRONG))
        await stream.send_all(data[: random.randrange(len(data) + 1)])
        await trio.sleep(random.random() * 0.02)
        if random.random() < 0.5:
            raw = stream if isinstance(stream, trio.SocketStream) else stream.transport_stream
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await trio.aclose_forcefully(stream)
        self.counts["leavers"] += 1


# --- the run


def resident_kib(pid: int) -> list[int]:
    """The resident memory of a process, then of its children, in KiB."""
    children = [child for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]
    sizes = []
    for each in [str(pid), *sorted(children, key=int)]:
        try:
            own = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{each}/status").read_text())
        except OSError:
            continue
        sizes.append(int(own[1]) if own else 0)
    return sizes


async def wait_ready(metrics: int, server: subprocess.Popen[bytes]) -> None:
    with trio.fail_after(60):
        while server.poll() is None:
            try:
                async with await trio.open_tcp_stream("127.0.0.1", metrics) as stream:
                    await stream.send_all(b"GET /readyz HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n")
                    if b" 200 " in await stream.receive_some(100):
                        return
            except OSError:
                pass
            await trio.sleep(0.1)
    raise SystemExit("the server exited before it was ready")


async def load(
    clients: Clients, count: int, seconds: float, edit_world: Callable[[int], None], server: subprocess.Popen[bytes]
) -> list[list[int]]:
    """Runs `count` clients for `seconds` while the manifests are edited twice a second. Returns resident memory over
    time."""
    until = trio.current_time() + seconds
    memory: list[list[int]] = []
    edit = 0
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(clients.run, until)
        while trio.current_time() < until and server.poll() is None:
            edit += 1
            edit_world(edit)
            await trio.sleep(0.5)
            if edit % 10 == 0:
                memory.append(resident_kib(server.pid))
    return memory


async def soak(seconds: float, count: int, server_command: list[str]) -> dict[str, object]:
    folder = Path(tempfile.mkdtemp(prefix="fastroute-soak-"))
    server_log, access_log = folder.with_suffix(".log"), folder.with_suffix(".jsonl")
    backend_port, metrics = (free_port() for _ in range(2))
    offset = 20_000 + random.randrange(10_000)

    def edit_world(edit: int) -> None:
        if edit % 4 == 0:
            fresh = folder / ".secret.new"
            fresh.write_text(json.dumps(secret("turning")))
            fresh.rename(folder / "secret.json")
        fresh = folder / ".world.new"
        fresh.write_text(manifests(backend_port, edit))
        fresh.rename(folder / "world.yaml")

    edit_world(0)
    command = [*server_command, "serve", "--manifests", str(folder), "--port-offset", str(offset), "--workers", "2"]
    command += ["--metrics", f"127.0.0.1:{metrics}", "--health", "off", "--access-log", str(access_log)]
    clients = Clients(80 + offset, 443 + offset)
    async with trio.open_nursery() as nursery:
        for address in ADDRESSES:
            listeners = await trio.open_tcp_listeners(backend_port, host=address, backlog=512)
            nursery.start_soon(trio.serve_listeners, Backend().serve, listeners)
        with server_log.open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220, starting it takes 1 ms
        try:
            await wait_ready(metrics, server)
            memory = await load(clients, count, seconds, edit_world, server)
        finally:
            died = server.poll() is not None
            server.send_signal(signal.SIGTERM)
            exit_code = await trio.to_thread.run_sync(server.wait, 60)
        nursery.cancel_scope.cancel()
    lines = access_log.read_bytes().splitlines()
    for line in lines:
        json.loads(line)
    return {
        "seconds": seconds,
        "answers": dict(sorted(clients.counts.items())),
        "wrong": clients.wrong[:20],
        "died": died,
        "exit code": exit_code,
        "sanitizer": bool(SANITIZER.search(server_log.read_bytes())),
        "access log lines": len(lines),
        "resident KiB over time (main, workers)": memory[:: max(1, len(memory) // 12)],
        "server log": str(server_log),
    }


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--clients", type=int, default=24)
    options.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    chosen = options.parse_args()
    random.seed(chosen.seed)
    result = trio.run(soak, chosen.minutes * 60, chosen.clients, [sys.executable, "-m", "fastroute"])
    json.dump({"seed": chosen.seed, **result}, sys.stdout, indent=2)
    print()
    return 1 if result["wrong"] or result["died"] or result["exit code"] != 0 or result["sanitizer"] else 0


if __name__ == "__main__":
    sys.exit(main())
