"""`python -m bench.flood`: how long requests and handshakes of a victim take during a flood of ClientHellos.

A worker serves two listeners: `flooded`, whose certificate has an RSA key of 4,096 bits, and `victim`, with P-256. A
process opens connections as fast as the worker takes them (at most 64 at once), sends a ClientHello for `flooded` and
leaves after the first byte of the answer. Meanwhile two victims measure: a request on a connection that is kept open,
and a new connection with its handshake and one request. Reported are the median, the 99th percentile and the maximum
in milliseconds, in quiet and in the flood. The limit is a delay of 50 ms; exit code 1 above it.
"""

import contextlib
import selectors
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from bench.certificate import client_tls, connect, secret_document, self_signed
from bench.served import serving

AT_ONCE = 64  # connections of the flood
SECONDS = 8.0  # of each measurement
LIMIT = 50.0  # milliseconds by which the flood may delay a victim
GAP = 0.01  # seconds between two measurements of a victim
ANSWER = b"HTTP/1.1 404"
VICTIM = "victim.example.com"
REQUEST = f"GET / HTTP/1.1\r\nHost: {VICTIM}\r\n\r\n".encode()

_GATEWAY = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: bench, name: edge}
spec:
  gatewayClassName: fastroute
  listeners:
"""
_LISTENER = """\
    - name: NAME
      hostname: NAME.example.com
      port: 443
      protocol: HTTPS
      tls: {certificateRefs: [{name: NAME}]}
"""


def manifests() -> str:
    listeners = "".join(_LISTENER.replace("NAME", name) for name in ("flooded", "victim"))
    flooded = self_signed("flooded.example.com", rsa.generate_private_key(65537, 4096))
    return _GATEWAY + listeners + secret_document("flooded", flooded) + secret_document("victim", self_signed(VICTIM))


def hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        client_tls().wrap_bio(incoming, outgoing, server_hostname="flooded.example.com").do_handshake()
    return outgoing.read()


def flood(port: int) -> None:
    """Runs without end. Replaces each connection that got an answer."""
    greeting = hello()
    with selectors.DefaultSelector() as selector:
        for _ in range(AT_ONCE):
            selector.register(opened(port, greeting), selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                selector.unregister(key.fileobj)
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()
                selector.register(opened(port, greeting), selectors.EVENT_READ)


def opened(port: int, greeting: bytes) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port), 5)
    one.sendall(greeting)
    return one


@contextlib.contextmanager
def flooding(port: int) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "bench.flood", str(port)], stdin=subprocess.DEVNULL)
    try:
        time.sleep(1)
        yield
    finally:
        process.terminate()
        process.wait(20)


def ask(victim: ssl.SSLSocket) -> None:
    victim.sendall(REQUEST)
    if not victim.recv(4096).startswith(ANSWER):
        raise RuntimeError("the victim got no answer")


def measure(port: int) -> tuple[list[float], list[float]]:
    """Seconds of each request on a kept connection, and of each new connection with a request."""
    kept, new = [], []
    held = connect(port, VICTIM)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        begin = time.perf_counter()
        ask(held)
        middle = time.perf_counter()
        with connect(port, VICTIM) as fresh:
            ask(fresh)
        new.append(time.perf_counter() - middle)
        kept.append(middle - begin)
        time.sleep(GAP)
    held.close()
    return kept, new


def line(seconds: list[float]) -> str:
    ordered = [1000 * one for one in sorted(seconds)]
    return f"{ordered[len(ordered) // 2]:8.1f} {ordered[len(ordered) * 99 // 100]:8.1f} {ordered[-1]:8.1f}"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="fastroute-bench-") as root:
        (Path(root) / "world.yaml").write_text(manifests())
        with serving(Path(root)) as served:
            port = served.port + 443 - 80
            quiet = measure(port)
            with flooding(port):
                flooded = measure(port)
    print(f"{'milliseconds':30}{'median':>8} {'p99':>8} {'worst':>8}")
    for kind, position in (("kept connection", 0), ("new connection", 1)):
        print(f"{kind + ', quiet':30}{line(quiet[position])}")
        print(f"{kind + ', in the flood':30}{line(flooded[position])}")
    delay = max(1000 * (max(flooded[position]) - max(quiet[position])) for position in (0, 1))
    print(f"{'worst delay':30}{delay:8.1f} (limit {LIMIT:.0f})")
    return int(delay > LIMIT)


if __name__ == "__main__":
    if sys.argv[1:]:
        flood(int(sys.argv[1]))
    sys.exit(main())
