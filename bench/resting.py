"""`python -m bench.resting`: memory of a worker for HTTP/2 connections over TLS, without streams and with 100 of them.

A client opens connections after some that are not counted, and asks once on each. Then it opens 100 streams on some of
them, whose request bodies do not come: the backend gets the heads, and waits. When it has all of them, the growth of
the resident memory of the worker is divided by the number of connections. The limits are 40 KiB and 100 KiB.
"""

import os
import selectors
import socket
import ssl
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from bench.certificate import client_tls, secret_document, self_signed
from bench.process import resident_bytes
from bench.served import serving

HOST = "resting.example.com"
WARM, IDLE, BUSY, STREAMS = 100, 1_000, 50, 100
WITHIN = 60.0  # seconds until all heads are at the backend
PER_CLIENT = 900  # connections of one address; below the limit of fastroute
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5)  # with SETTINGS
AUTHORITY = b"\1" + bytes([len(HOST)]) + HOST.encode()

_WORLD = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: bench, name: edge}
spec:
  gatewayClassName: fastroute
  listeners:
    - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: edge}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: bench, name: waits}
spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: waits, port: 80}], matches: [{method: POST}]}]}
---
apiVersion: v1
kind: Service
metadata: {namespace: bench, name: waits}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: bench, name: waits, labels: {kubernetes.io/service-name: waits}}
addressType: IPv4
ports: [{port: BACKEND}]
endpoints: [{addresses: [127.0.0.1]}]
"""


def headers(stream: int, method: int, ends: bool) -> bytes:
    """`method`: its index in the table of HPACK."""
    block = bytes([0x80 | method]) + b"\x87\x84" + AUTHORITY
    return len(block).to_bytes(3, "big") + bytes([1, 4 | ends]) + stream.to_bytes(4, "big") + block


def connected(port: int, source: str, *, answered: bool = True) -> ssl.SSLSocket:
    """A connection that has had one answer. Not `answered`: only the settings of the server."""
    context = client_tls()
    context.set_alpn_protocols(["h2"])
    one = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 20, (source, 0)), server_hostname=HOST)
    if not answered:
        one.sendall(PREFACE)
        one.recv(65536)
        return one
    one.sendall(PREFACE + headers(1, 2, ends=True))
    said = b""
    while b"no_rule" not in said:  # the text of the answer
        said += one.recv(65536)
    return one


class Backend:
    """Accepts connections, counts the heads of requests, and answers nothing."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.heads = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.listening, selectors.EVENT_READ, bytearray())
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self.listening:
                        selector.register(self.listening.accept()[0], selectors.EVENT_READ, bytearray())
                    else:
                        self._read(selector, key)

    def _read(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        try:
            data = os.read(key.fd, 65536)
        except OSError:
            data = b""
        key.data.extend(data)
        if b"\r\n\r\n" in key.data:
            self.heads += 1
            key.data.clear()
        if not data:
            selector.unregister(key.fileobj)


class Resting(NamedTuple):
    """Bytes for each connection without streams, and for each with STREAMS."""

    idle: float
    busy: float


def grown(port: int, worker: int, backend: Backend, *, answered: bool = True) -> Resting:
    """Of the process `worker`, which serves at `port`."""
    held = [connected(port, "127.0.1.1", answered=answered) for _ in range(WARM)]
    before = resident_bytes(worker)
    held += [connected(port, f"127.0.1.{2 + number // PER_CLIENT}", answered=answered) for number in range(IDLE)]
    idle = (resident_bytes(worker) - before) / IDLE
    before = resident_bytes(worker)
    for one in held[-BUSY:]:
        one.sendall(b"".join(headers(3 + 2 * number, 3, ends=False) for number in range(STREAMS)))
    deadline = time.monotonic() + WITHIN
    while backend.heads < BUSY * STREAMS:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the backend has {backend.heads} of {BUSY * STREAMS} heads after {WITHIN} s")
        time.sleep(0.01)
    busy = (resident_bytes(worker) - before) / BUSY
    for one in held:
        one.close()
    return Resting(idle, idle + busy)


def measure_resting() -> Resting:
    backend = Backend()
    with tempfile.TemporaryDirectory(prefix="fastroute-bench-") as root:
        world = _WORLD.replace("BACKEND", str(backend.listening.getsockname()[1]))
        (Path(root) / "world.yaml").write_text(world + secret_document("edge", self_signed(HOST)))
        with serving(Path(root)) as served:
            return grown(served.port + 443 - 80, served.worker, backend)


def main() -> None:
    idle, busy = measure_resting()
    print(f"{'KiB of a connection':30}{'measured':>10}{'limit':>8}")
    print(f"{'without streams':30}{idle / 1024:10.1f}{40:8}")
    print(f"{f'with {STREAMS} streams':30}{busy / 1024:10.1f}{100:8}")


if __name__ == "__main__":
    main()
