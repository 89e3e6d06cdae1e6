"""`make cluster`: a cluster for experiments, served by a fastroute, until Ctrl-C.

Everything runs in a separate network and process namespace. Relays connect ports of this machine to it: one to the API
server, for kubectl, and two to ports 80 and 443 of the first Gateway.
"""

import argparse
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from cluster import isolation
from cluster.account import LEASE, account_kubeconfig
from cluster.cluster import API_PORT, Cluster
from cluster.gateway import CLASS, POOL, start_gateway
from cluster.process import NotReadyError, Program
from cluster.programs import CLUSTER, ECHO, built, suite
from cluster.relay import Address, Relay
from cluster.scratch import scratch

DOORS: Mapping[str, Address] = {
    "api": ("127.0.0.1", API_PORT),
    "http": ("127.0.1.1", 80),
    "https": ("127.0.1.1", 443),
}


def main() -> int:
    arguments = _arguments()
    if not isolation.is_inside() and (taken := _taken(arguments)):
        print(f"make cluster: {taken}", file=sys.stderr)
        return 2
    for module in (CLUSTER, ECHO, suite(arguments.api)):
        built(module)
    if isolation.is_inside():
        isolation.enter()
        return _serve(arguments, Path(arguments.folder))
    with scratch("cluster") as folder:
        return _open(arguments, folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make cluster", description=__doc__)
    parser.add_argument("--api", default="v1.6.3", help="release of the Gateway API's CRDs")
    parser.add_argument("--port", type=_port, default=16443, help="of the API server on 127.0.0.1")
    parser.add_argument("--http", type=_port, default=8080, help="leads to the first Gateway's port 80")
    parser.add_argument("--https", type=_port, default=8443, help="leads to the first Gateway's port 443")
    parser.add_argument("--bare", action="store_true", help="without fastroute: start your own inside")
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")
    return int(text)


def _taken(arguments: argparse.Namespace) -> str | None:
    """A message if a port is unavailable, with the command that uses another one; None if all are available."""
    options = {"--port": arguments.port, "--http": arguments.http, "--https": arguments.https}
    for option, port in options.items():
        why = "is given twice" if list(options.values()).count(port) > 1 else _why_not(port)
        if why is not None:
            unused = (other for other in range(port + 1, 65536) if other not in options.values())
            other = next((other for other in unused if _why_not(other) is None), "PORT")
            return f"port {port} of 127.0.0.1 {why}: make cluster ARGS='{option} {other}' uses another one"
    return None


def _why_not(port: int) -> str | None:
    """The reason why no program can listen on a port of 127.0.0.1; None if one can."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError as error:
            return "is in use" if error.errno == errno.EADDRINUSE else f"cannot be bound ({error.strerror})"
    return None


def _open(arguments: argparse.Namespace, folder: Path) -> int:
    """The outer process: starts the inner one and runs the relays."""
    words = isolation.way_in()
    if words is None:
        isolation.enter()  # prints the reason
        return isolation.NOT_POSSIBLE
    environment = {**os.environ, isolation.MARK: "1"}
    # The inner process is killed whenever this one ends.
    command = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        *words,
        sys.executable,
        "-m",
        "cluster",
        *sys.argv[1:],
        "--folder",
        str(folder),
    ]
    with ExitStack() as stack:
        inside = Program(command, folder / "cluster.log", environment)
        stack.callback(inside.kill)
        inside.wait_for(inside.says("ready"), 120)
        for name, port in (("api", arguments.port), ("http", arguments.http), ("https", arguments.https)):
            stack.enter_context(Relay(("127.0.0.1", port), str(folder / name)))
        kubeconfig = folder / "outside.kubeconfig"
        text = (folder / "kubeconfig").read_text()
        kubeconfig.write_text(text.replace(f":{API_PORT}", f":{arguments.port}"))
        print(_welcome(arguments, kubeconfig, _first_inside(inside)), flush=True)
        _wait(inside.popen)
    return 0


def _welcome(arguments: argparse.Namespace, kubeconfig: Path, pid: int) -> str:
    return f"""A cluster (Gateway API {arguments.api}, experimental) is up:

  export KUBECONFIG={kubeconfig}
  kubectl get gatewayclass

The first Gateway's ports 80 and 443 are http://127.0.0.1:{arguments.http} and https://127.0.0.1:{arguments.https}.
A shell inside, where all Gateways ({POOL}) and pods can be reached: nsenter -t {pid} -a
Logs: {kubeconfig.parent}/*.log. Ctrl-C ends it all."""


def _first_inside(inside: Program) -> int:
    """The host's process ID of the first process in the namespace."""
    said = subprocess.run(["pgrep", "-P", str(inside.pid)], capture_output=True, text=True, check=False).stdout
    return int(said.split()[0]) if said else inside.pid


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Waits until Ctrl-C, SIGTERM, or the end of the inner process."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        process.wait()
    except KeyboardInterrupt:
        print()


def _serve(arguments: argparse.Namespace, folder: Path) -> int:
    """The inner process: starts all programs, and the relays' inner ends."""
    cluster = Cluster(folder, arguments.api)
    cluster.start()
    cluster.start_pods()
    with ExitStack() as stack:
        for name, there in DOORS.items():
            stack.enter_context(Relay(str(folder / name), there))
        if not arguments.bare:
            cluster.api.apply_text(CLASS)
            lease = ("--status-lease", LEASE)
            start_gateway(account_kubeconfig(cluster), folder / "fastroute.log", ("--address-pool", POOL, *lease))
        print("ready", flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NotReadyError as error:
        sys.exit(f"make cluster: {error}")
