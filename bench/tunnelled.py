"""`python -m bench.tunnelled [ATTACK…]`: what tunnels of one namespace cost the requests of another one.

One worker. The tunnels are WebSockets to a backend of the namespace `crowd` that returns all bytes; a client sends 300
requests a second at fixed times to a route of another namespace. Spells with and without an attack alternate. Reported
are the median, the 99th percentile and the longest time of a request in milliseconds, and failed requests. The limit is
a delay of 50 ms. The worker, the backend of the victim and the victim have priority over all other processes
(SCHED_FIFO), because the attackers need the processor too.

    many          800 WebSockets that exchange messages of 16 bytes as fast as they can
    large         64 WebSockets with messages of 64 KiB
    brief         WebSockets that are opened and closed at once, 64 at a time
    streams       WebSockets as streams of HTTP/2 (RFC 8441): 100 on each of up to 200 connections, all kept open
    brief-streams the same, opened and reset at once
"""

import argparse
import contextlib
import json
import resource
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hpack import Encoder

from bench.manifests import write_manifests
from bench.peers import Setup, backend_command, free_port, running
from bench.process import keep_on, proxy_and_load_core, set_urgent, tree
from bench.served import Served, serving
from fastroute.text import Line, Table, write_page

SPELL = 5.0  # seconds
RATE = 300  # requests per second of the victim
LIMIT = 50.0  # milliseconds
ROUNDS = 3
ATTACK = 30.0  # seconds after which an attack ends by itself

_ROUTE = """
---
apiVersion: v1
kind: Service
metadata: {{namespace: crowd, name: echo}}
spec: {{ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{namespace: crowd, name: echo, labels: {{kubernetes.io/service-name: echo}}}}
addressType: IPv4
ports: [{{port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{namespace: crowd, name: tunnels}}
spec:
  parentRefs: [{{namespace: bench, name: edge}}]
  rules:
    - matches: [{{path: {{value: /tunnel}}}}]
      backendRefs: [{{name: echo, port: 80}}]
"""
_ALLOWED = "allowedRoutes: {namespaces: {from: All}}"
UPGRADE = (
    b"GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
REQUEST = b"GET /route-0/x HTTP/1.1\r\nHost: a\r\n\r\n"


# --- programs that run as processes of their own


def echo(port: int) -> None:
    """The backend of the tunnels."""
    listening = socket.create_server(("127.0.0.1", port), backlog=4096)
    listening.setblocking(False)
    fresh: set[int] = set()
    with selectors.DefaultSelector() as selector:
        selector.register(listening, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                one: Any = key.fileobj
                if one is listening:
                    with contextlib.suppress(OSError):
                        accepted, _ = listening.accept()
                        accepted.setblocking(False)
                        fresh.add(accepted.fileno())
                        selector.register(accepted, selectors.EVENT_READ)
                    continue
                _answer(one, fresh, selector)


def _answer(one: socket.socket, fresh: set[int], selector: selectors.BaseSelector) -> None:
    try:
        data = one.recv(65_536)
        if data and one.fileno() in fresh:
            fresh.discard(one.fileno())
            data = SWITCHED
        if data:
            one.sendall(data)
    except BlockingIOError:  # the other side does not read: the rest is lost
        return
    except OSError:
        data = b""
    if not data:
        fresh.discard(one.fileno())
        selector.unregister(one)
        one.close()


def victim(port: int) -> None:
    """Prints the milliseconds of each request from the time at which it was due, as JSON; null for a failed one."""
    found: list[float | None] = []
    one = socket.create_connection(("127.0.0.1", port), 10)
    begun = time.monotonic()
    for number in range(int(SPELL * RATE)):
        due = begun + number / RATE
        time.sleep(max(due - time.monotonic(), 0))
        try:
            one.sendall(REQUEST)
            answered = one.recv(65_536).startswith(b"HTTP/1.1 200")
        except OSError:
            answered = False
        found.append(1000 * (time.monotonic() - due) if answered else None)
        if not answered:
            one.close()
            one = socket.create_connection(("127.0.0.1", port), 10)
    print(json.dumps(found))


# --- attacks


def opened(port: int) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port), 10)
    one.sendall(UPGRADE)
    return one


def exchange(port: int, count: int, message: bytes) -> None:
    """Tunnels that send a message when the last one has come back."""
    until = time.monotonic() + ATTACK
    with selectors.DefaultSelector() as selector:
        for _ in range(count):
            selector.register(opened(port), selectors.EVENT_READ)
        print("ready", flush=True)
        while time.monotonic() < until:
            for key, _ in selector.select(1):
                one: Any = key.fileobj
                said = one.recv(65_536)
                if not said or said.startswith(b"HTTP/1.1 5"):
                    raise RuntimeError(f"the gateway closed a tunnel: {said[:15]!r}")
                one.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    one.send(message)


def brief(port: int) -> None:
    until = time.monotonic() + ATTACK
    with selectors.DefaultSelector() as selector:
        for _ in range(64):
            selector.register(opened(port), selectors.EVENT_READ)
        print("ready", flush=True)
        while time.monotonic() < until:
            for key, _ in selector.select(1):
                one: Any = key.fileobj
                selector.unregister(one)
                one.close()
                selector.register(opened(port), selectors.EVENT_READ)


def frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return len(content).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + content


def heads() -> bytes:
    fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/tunnel"),
        (":authority", "a"),
        ("sec-websocket-version", "13"),
    ]
    return Encoder().encode(fields)


def session(port: int) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port), 10)
    one.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
    return one


def streams(port: int, connections: int, reset: bool) -> None:
    """Opens 100 tunnels on each connection. With `reset`, ends them at once and opens others."""
    until, head = time.monotonic() + ATTACK, heads()
    made: list[socket.socket] = []
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            one = session(port)
            one.sendall(b"".join(frame(1, 4, 2 * number + 1, head) for number in range(100)))
            made.append(one)
            selector.register(one, selectors.EVENT_READ, 201)
        print("ready", flush=True)
        while time.monotonic() < until:
            for key, _ in selector.select(1):
                one_: Any = key.fileobj
                if not one_.recv(65_536):  # for too many resets
                    selector.unregister(one_)
                    one_.close()
                    selector.register(session(port), selectors.EVENT_READ, 1)
                elif reset:
                    _renew(one_, key.data, head)
                    selector.modify(one_, selectors.EVENT_READ, key.data + 2)


def _renew(one: socket.socket, number: int, head: bytes) -> None:
    ended = frame(3, 0, number - 200, (8).to_bytes(4, "big")) if number > 200 else b""
    with contextlib.suppress(OSError):
        one.sendall(ended + frame(1, 4, number, head))


ATTACKS: dict[str, Callable[[int], None]] = {
    "many": lambda port: exchange(port, 800, bytes(16)),
    "large": lambda port: exchange(port, 64, bytes(65_536)),
    "brief": brief,
    "streams": lambda port: streams(port, 200, reset=False),
    "brief-streams": lambda port: streams(port, 32, reset=True),
}


# --- the measurement


@contextmanager
def attacking(name: str, port: int, core: int) -> Iterator[None]:
    words = ["taskset", "-c", str(core), sys.executable, "-m", "bench.tunnelled", "--as", name, str(port)]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the attack {name} did not begin")
        yield
        if process.poll() is not None:
            raise RuntimeError(f"the attack {name} ended early")
    finally:
        process.terminate()
        process.wait(20)
        time.sleep(1)  # the worker ends the tunnels


def spell(served: Served, core: int) -> list[float | None]:
    words = ["chrt", "-f", "10", "taskset", "-c", str(core), sys.executable, "-m", "bench.tunnelled"]
    said = subprocess.run([*words, "--as", "victim", str(served.port)], capture_output=True, text=True, check=True)
    found: list[float | None] = json.loads(said.stdout)
    return found


def row(name: str, found: list[list[float | None]]) -> tuple[str, ...]:
    times = sorted(one for each in found for one in each if one is not None)
    failed = sum(one is None for each in found for one in each)
    shown = (times[len(times) // 2], times[len(times) * 99 // 100], times[-1])
    return name, *(f"{one:.2f}" for one in shown), str(failed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attacks", nargs="*", choices=[[], *ATTACKS])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    core, load_core = proxy_and_load_core()
    rows, late = [], []
    with tempfile.TemporaryDirectory(prefix="fastroute-bench-") as name:
        folder = Path(name)
        backend, tunnels = Setup(free_port(), 0, 0, folder / "backend"), free_port()
        backend.folder.mkdir()
        write_manifests(folder / "manifests", 1, backend.port)
        world = folder / "manifests" / "world.yaml"
        world.write_text(world.read_text().replace("protocol: HTTP}", f"protocol: HTTP, {_ALLOWED}}}"))
        (folder / "manifests" / "crowd.yaml").write_text(_ROUTE.format(port=tunnels))
        echoing = [sys.executable, "-m", "bench.tunnelled", "--as", "echo", str(tunnels)]
        with (
            running("backend", backend_command(backend), backend.port, load_core) as nginx,
            running("echo", echoing, tunnels, load_core),
            serving(folder / "manifests") as served,
        ):
            for pid in tree(served.process.pid):
                keep_on(pid, {core})
            for pid in (served.worker, *tree(nginx.process.pid)):
                set_urgent(pid, True)
            for attack in options.attacks or ATTACKS:
                quiet, attacked = [], []
                for _ in range(options.rounds):
                    quiet.append(spell(served, load_core))
                    with attacking(attack, served.port, load_core):
                        attacked.append(spell(served, load_core))
                rows += [row(f"{attack}, quiet", quiet), row(attack, attacked)]
                late.append(float(rows[-1][3]) - float(rows[-2][3]) > LIMIT or rows[-1][4] != "0")
    write_page(
        [
            Line(f"Milliseconds; the limit is {LIMIT:.0f} more"),
            Table(("", "P50", "P99", "WORST", "FAILED"), tuple(rows)),
        ]
    )
    return int(any(late))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as"]:
        {"echo": echo, "victim": victim, **ATTACKS}[sys.argv[2]](int(sys.argv[3]))
        sys.exit()
    sys.exit(main())
