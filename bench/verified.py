"""`python -m bench.verified`: how long the requests of a victim take while the TLS backends of another namespace answer
all at the same time.

A worker serves routes of three namespaces. `flooding` has a TLS backend with a chain of nine certificates with RSA
keys of 4,096 bits. It computes its part of each handshake, waits until BACKENDS of them are ready, and then sends all
of them at once: the gateway must verify all chains, and sign with an RSA key of 4,096 bits that it shows to backends.
Each request needs a new connection. Meanwhile two victims measure: a request on a kept connection to a plain backend,
and a request to a TLS backend of their own that closes each connection. Reported are the median, the 99th percentile
and the maximum in milliseconds, in quiet and in the flood. The limit is a delay of 50 ms.
"""

import contextlib
import multiprocessing
import selectors
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from bench.certificate import Pems, chain, secret_document, self_signed
from bench.flood import line
from bench.served import serving
from bench.soak.world import policy, server_tls

BACKENDS = 200  # handshakes at once
SECONDS = 8.0  # of each measurement
GAP = 0.01  # seconds between two measurements
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
KEPT = OK.replace(b"Connection: close\r\n", b"")

GATEWAY = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: bench, name: edge}
spec:
  gatewayClassName: fastroute
  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]
"""
_TEAM = """\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: NAME, name: r}
spec:
  parentRefs: [{namespace: bench, name: edge}]
  hostnames: [NAME.example]
  rules: [{backendRefs: [{name: s, port: 80}]}]
---
{apiVersion: v1, kind: Service, metadata: {name: s, namespace: NAME}, spec: {ports: [{port: 80}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {name: s, namespace: NAME,
  labels: {kubernetes.io/service-name: s}}, ports: [{port: PORT}], endpoints: [{addresses: [127.0.0.1]}]}
"""


def team(name: str, port: int, authority: bytes = b"") -> str:
    return _TEAM.replace("NAME", name).replace("PORT", str(port)) + (policy(name, authority) if authority else "")


def request(name: str) -> bytes:
    return f"GET / HTTP/1.1\r\nHost: {name}.example\r\n\r\n".encode()


class Handshakes:
    """A backend that answers BACKENDS ClientHellos at once."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        context.num_tickets = 0  # each handshake is a full one
        context.verify_mode = ssl.CERT_REQUIRED  # so the gateway signs with its own key, too
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=1024)

    def run(self) -> None:
        """Without end."""
        while True:
            ready = [self._greeted() for _ in range(BACKENDS)]
            for one, data in ready:
                with contextlib.suppress(OSError):
                    one.sendall(data)
            time.sleep(0.3)
            for one, _ in ready:
                one.close()

    def _greeted(self) -> tuple[socket.socket, bytes]:
        """The next connection, and what it will be sent."""
        one, _ = self.listening.accept()
        got, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(got, sent, server_side=True)
        got.write(one.recv(65_536))
        with contextlib.suppress(ssl.SSLError):
            tls.do_handshake()
        return one, sent.read()


def flood(port: int) -> None:
    """Keeps BACKENDS requests in progress."""
    with selectors.DefaultSelector() as selector:
        while True:
            while len(selector.get_map()) < BACKENDS:
                try:
                    one = socket.create_connection(("127.0.0.1", port), 5)
                except ConnectionRefusedError:
                    return  # the measurement is over
                one.sendall(request("flooding"))
                selector.register(one, selectors.EVENT_READ)
            for key, _ in selector.select(0.05):
                selector.unregister(key.fileobj)
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()


def answer(listening: socket.socket, context: ssl.SSLContext | None) -> None:
    """The backend of a victim: without TLS it keeps its connections. Runs without end."""

    def serve(one: socket.socket) -> None:
        with contextlib.suppress(OSError), one:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = one if context is None else context.wrap_socket(one, server_side=True)
            while stream.recv(4096):
                stream.sendall(OK if context else KEPT)
                if context:
                    stream.unwrap()
                    return

    while True:
        threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()


def ask(port: int, name: str, held: socket.socket | None) -> float:
    """Seconds of one request, on a new connection without `held`."""
    begun = time.perf_counter()
    one = held or socket.create_connection(("127.0.0.1", port), 20)
    one.sendall(request(name))
    found = one.recv(4096)
    if not found.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"{name} got {found!r}")
    if held is None:
        one.close()
    return time.perf_counter() - begun


def measure(port: int) -> tuple[list[float], list[float]]:
    plain, secure = [], []
    held = socket.create_connection(("127.0.0.1", port), 20)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        plain.append(ask(port, "plain", held))
        secure.append(ask(port, "secure", None))
        time.sleep(GAP)
    held.close()
    return plain, secure


def pems_file(folder: Path, name: str, pems: Pems) -> Path:
    file = folder / f"{name}.pem"
    file.write_bytes(pems.chain + pems.key)
    return file


@contextlib.contextmanager
def prepared(folder: Path) -> Iterator[tuple[int, Handshakes]]:
    """The port of the gateway, and the backend of the flood; the victims' backends run."""
    costly, root = chain()
    own = self_signed()
    slow = Handshakes(server_tls(pems_file(folder, "costly", costly)))
    plain, secure = (socket.create_server(("127.0.0.1", 0), backlog=1024) for _ in range(2))
    for listening, context in ((plain, None), (secure, server_tls(pems_file(folder, "own", own)))):
        threading.Thread(target=answer, args=(listening, context), daemon=True).start()
    ports = {one: one.getsockname()[1] for one in (slow.listening, plain, secure)}
    teams = team("plain", ports[plain]) + team("secure", ports[secure], own.chain)
    gateway = GATEWAY.replace("  listeners:", "  tls: {backend: {clientCertificateRef: {name: own}}}\n  listeners:")
    shown = secret_document("own", self_signed("gateway.example", rsa.generate_private_key(65537, 4096)))
    (folder / "world.yaml").write_text(gateway + shown + team("flooding", ports[slow.listening], root) + teams)
    with serving(folder / "world.yaml") as served:
        yield served.port, slow


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, prepared(Path(folder)) as (port, slow):
        print(f"{'ms (median, p99, max)':<24} {'plain':>27} {'own TLS backend':>29}")
        quiet = measure(port)
        print(f"{'quiet':<24} {line(quiet[0])}   {line(quiet[1])}", flush=True)
        for run, *words in ((slow.run,), (flood, port)):
            context = multiprocessing.get_context("fork")  # it has the listening socket
            context.Process(target=run, args=words, daemon=True).start()
        time.sleep(2)
        flooded = measure(port)
        print(f"{'flood':<24} {line(flooded[0])}   {line(flooded[1])}")
    late = max(max(after) - max(before) for before, after in zip(quiet, flooded, strict=True))
    print(f"delay at most {late * 1e3:.1f} ms (limit 50)")
    return 0 if late <= 0.05 else 1


if __name__ == "__main__":
    sys.exit(main())
