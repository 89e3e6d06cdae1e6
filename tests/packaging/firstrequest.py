"""Runs `check` and `serve` of the installed fastroute, and sends requests through it.

    python firstrequest.py             a request over HTTP and one over HTTPS, by a route with a regular expression
    python firstrequest.py --inside    also: RE2, OpenSSL and libnghttp2 are those inside the installed package

It needs only fastroute and its dependencies, so it also runs in another root file system.
"""

import datetime
import http.server
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import urllib.request
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NAME = "first.example.net"
FASTROUTE = (sys.executable, "-m", "fastroute")
LONGEST = 60  # seconds until the first response, on a slow machine
MANIFESTS = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: fastroute}}
spec: {{controllerName: fastroute.dev/gateway}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{namespace: shop, name: edge}}
spec:
  gatewayClassName: fastroute
  listeners:
    - {{name: http, port: {plain}, protocol: HTTP}}
    - {{name: https, port: {secure}, protocol: HTTPS, tls: {{certificateRefs: [{{name: first}}]}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{namespace: shop, name: first}}
spec:
  parentRefs: [{{name: edge}}]
  rules:
    - matches: [{{path: {{type: RegularExpression, value: "/first/[0-9]+"}}}}]
      backendRefs: [{{name: backend, port: 80}}]
---
apiVersion: v1
kind: Service
metadata: {{namespace: shop, name: backend}}
spec: {{ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{namespace: shop, name: backend, labels: {{kubernetes.io/service-name: backend}}}}
addressType: IPv4
endpoints: [{{addresses: [127.0.0.1]}}]
ports: [{{port: {backend}}}]
---
apiVersion: v1
kind: Secret
metadata: {{namespace: shop, name: first}}
type: kubernetes.io/tls
stringData:
  tls.crt: |
{certificate}
  tls.key: |
{key}
"""


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.path)))
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *_: object) -> None:
        pass


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def certificate() -> tuple[str, str]:
    """A self-signed certificate for NAME, and its key, indented for the manifest."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    built = built.serial_number(1).not_valid_before(now - day).not_valid_after(now + day)
    built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    pem = serialization.Encoding.PEM
    signed = built.sign(key, hashes.SHA256()).public_bytes(pem)
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return tuple(textwrap.indent(one.decode(), "    ") for one in (signed, private))  # type: ignore[return-value]


def ask(url: str) -> str:
    """The body of the response; retries until the gateway listens and serves the route."""
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    until = time.monotonic() + LONGEST
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5, context=trusting) as answer:
                return answer.read().decode()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def mapped(process: int) -> set[Path]:
    """The shared libraries that a process and its children have loaded. Only root sees those of a worker."""
    try:
        lines = Path(f"/proc/{process}/maps").read_text().splitlines()
    except PermissionError:
        lines = []
    found = {Path(line.split()[-1]) for line in lines if ".so" in line}
    for children in Path(f"/proc/{process}/task").glob("*/children"):  # of each thread: any of them may start a worker
        for child in children.read_text().split():
            found |= mapped(int(child))
    return found


def assert_inside(libraries: set[Path]) -> None:
    """RE2 and libnghttp2 come only from the package. Python itself may also have loaded an OpenSSL."""
    inside = {re.split(r"[-.]", one.name)[0] for one in libraries if one.parent.name == "fastroute.libs"}
    assert inside >= {"libre2", "libnghttp2", "libssl", "libcrypto"}, sorted(libraries)
    only = ("libre2", "libnghttp2")
    assert not [one for one in libraries if one.name.startswith(only) and one.parent.name != "fastroute.libs"]
    print("libraries of the package:", *sorted(one.name for one in libraries if one.parent.name == "fastroute.libs"))


def main() -> None:
    backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    plain, secure = free_ports(2)
    signed, key = certificate()
    with tempfile.TemporaryDirectory() as folder:
        manifests = MANIFESTS.format(
            plain=plain, secure=secure, backend=backend.server_port, certificate=signed, key=key
        )
        (Path(folder) / "shop.yaml").write_text(manifests)
        subprocess.run([*FASTROUTE, "check", folder], cwd=folder, check=True)  # not the source in the current folder
        words = ["serve", "--manifests", folder, "--workers", "1", "--metrics", "off"]
        with subprocess.Popen([*FASTROUTE, *words], cwd=folder) as serving:
            try:
                assert ask(f"http://127.0.0.1:{plain}/first/1") == "/first/1"
                assert ask(f"https://127.0.0.1:{secure}/first/2") == "/first/2"
                if "--inside" in sys.argv:
                    assert_inside(mapped(serving.pid))
                serving.send_signal(signal.SIGTERM)
                assert serving.wait(LONGEST) == 0
            finally:
                serving.kill()
    print(f"fastroute served HTTP and HTTPS with Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
