"""`python -m bench.resting_peers`: the measure of resting for HAProxy, nginx and nghttpx, one after another.

Each has one worker, a certificate of its own, and an HTTP/1.1 backend. Those that are not installed are left out.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.certificate import self_signed
from bench.peers import Setup, free_port, nginx_command, running
from bench.process import proxy_and_load_core, tree
from bench.resting import HOST, STREAMS, Backend, Resting, connected, grown

_HAPROXY = """\
global
  maxconn 4000
  nbthread 1
defaults
  mode http
  timeout connect 60s
  timeout client 300s
  timeout server 300s
frontend f
  bind 127.0.0.1:{port} ssl crt {folder}/both.pem alpn h2,http/1.1 backlog 4096
  http-request return status 404 content-type text/plain string no_rule if {{ method GET }}
  default_backend b
backend b
  server s 127.0.0.1:{backend}
"""
_NGINX = """
  server {{
    listen 127.0.0.1:{port} ssl http2 backlog=4096;
    ssl_certificate {folder}/chain.pem;
    ssl_certificate_key {folder}/key.pem;
    http2_max_concurrent_streams 128;
    proxy_http_version 1.1;
    proxy_request_buffering off;
    location / {{
      if ($request_method = GET) {{ return 404 "no_rule"; }}
      proxy_pass http://127.0.0.1:{backend};
    }}
  }}
"""


def _haproxy(setup: Setup) -> list[str]:
    path = setup.folder / "haproxy.cfg"
    path.write_text(_HAPROXY.format(port=setup.port, backend=setup.backend, folder=setup.folder))
    return ["haproxy", "-f", str(path), "-db"]


def _nginx(setup: Setup) -> list[str]:
    return nginx_command(setup, _NGINX.format(port=setup.port, backend=setup.backend, folder=setup.folder))


def _nghttpx(setup: Setup) -> list[str]:
    path = setup.folder / "nghttpx.conf"
    path.write_text("")  # instead of /etc/nghttpx/nghttpx.conf
    words = ["nghttpx", f"--conf={path}", "--workers=1", "--no-ocsp", f"--frontend=127.0.0.1,{setup.port}"]
    return [*words, f"--backend=127.0.0.1,{setup.backend}", *(str(setup.folder / f"{n}.pem") for n in ("key", "chain"))]


PEERS: dict[str, Callable[[Setup], list[str]]] = {"haproxy": _haproxy, "nginx": _nginx, "nghttpx": _nghttpx}


def measure(name: str) -> Resting:
    backend = Backend()
    with tempfile.TemporaryDirectory(prefix="fastroute-bench-") as root:
        setup = Setup(free_port(), backend.listening.getsockname()[1], 1, Path(root) / name)
        setup.folder.mkdir()
        pems = self_signed(HOST)
        for part, pem in pems._asdict().items():
            (setup.folder / f"{part}.pem").write_bytes(pem)
        (setup.folder / "both.pem").write_bytes(b"".join(pems))
        with running(name, PEERS[name](setup), setup.port, proxy_and_load_core()[0]) as proxy:
            answered = name != "nghttpx"  # it passes on every request
            connected(setup.port, "127.0.1.1", answered=answered).close()  # then its worker has started
            return grown(setup.port, tree(proxy.process.pid)[-1], backend, answered=answered)


def main() -> None:
    print(f"{'KiB of a connection':22}{'without streams':>16}{f'with {STREAMS} streams':>18}")
    for name in PEERS:
        if shutil.which(name):
            idle, busy = measure(name)
            print(f"{name:22}{idle / 1024:16.1f}{busy / 1024:18.1f}")


if __name__ == "__main__":
    main()
