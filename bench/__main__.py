"""`make bench`, or `python -m bench [PART...]`: results as a table on stdout, and as JSON in .cache/bench/.

PART: micro (parts, with pytest-benchmark), peers (comparison with nginx, HAProxy, Envoy), secure (HTTPS, comparison
with nginx), scale (memory, start), churn (changes). protocols (HTTP/2, gRPC, TLS on both sides, TCP and UDP, comparison
with nginx, HAProxy, Envoy, nghttpx) runs only if it is named.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bench import before
from bench.churn import measure_churn
from bench.compare import OURS, Effort, compare
from bench.floor import RELAY
from bench.http2 import NGHTTPX
from bench.install import install_peers, require
from bench.micro_report import micro_table
from bench.peers import PEERS, before_peer
from bench.protocols import measure_protocols, protocol_tables
from bench.report import churn_tables, comparison_tables, scale_tables, secure_tables
from bench.scale import measure_scale
from bench.secure import measure_secure
from bench.written import write_results
from fastroute.text import Block, write_page

RESULTS = Path(".cache/bench")
PROTOCOLS = "protocols"
OTHERS = [*(name for name in PEERS if name != OURS), NGHTTPX.name, RELAY]  # than fastroute


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    words.add_argument("parts", nargs="*", choices=[[], *PARTS], help="default: all but protocols")
    words.add_argument("--rounds", type=int, default=Effort().rounds, help="of load, round all proxies")
    words.add_argument("--seconds", type=int, default=Effort().seconds, help="of load, for one proxy in one round")
    words.add_argument("--routes", type=int, default=Effort().many, help="where many are asked for")
    words.add_argument("--without", action="append", default=[], choices=OTHERS, help="leave this proxy out")
    words.add_argument("--before", metavar="COMMIT", help="measure this commit of fastroute as one more proxy")
    words.add_argument("--write", action="store_true", help="put the results into bench/README.md too")
    chosen = words.parse_args()
    folder = before.build(chosen.before) if chosen.before else None
    without = frozenset(chosen.without)
    effort = Effort(chosen.rounds, chosen.seconds, chosen.routes, folder, without)
    RESULTS.mkdir(parents=True, exist_ok=True)
    said: list[Block] = []
    for name in chosen.parts or [part for part in PARTS if part != PROTOCOLS]:
        blocks = PARTS[name](effort)
        write_page(blocks)
        said += blocks
    if chosen.write:
        write_results(said)
    return 0


def _micro(effort: Effort) -> list[Block]:
    results = RESULTS / "micro.json"
    command = [sys.executable, "-m", "pytest", "bench/micro", "--benchmark-only", "--benchmark-json", str(results)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return [micro_table(results)]


def _peers(effort: Effort) -> list[Block]:
    install_peers()
    peers = [peer for peer in effort.kept(PEERS.values()) if peer.program()]
    if effort.before:
        peers.append(before_peer(effort.before))
    found = compare(peers, effort)
    _keep("peers", found)
    return list(comparison_tables(found))


def _secure(effort: Effort) -> list[Block]:
    install_peers()
    found = measure_secure(effort)
    _keep("secure", found)
    return list(secure_tables(found))


def _scale(effort: Effort) -> list[Block]:
    found = measure_scale(effort.many)
    _keep("scale", found)
    return list(scale_tables(found))


def _churn(effort: Effort) -> list[Block]:
    found = measure_churn()
    _keep("churn", found)
    return list(churn_tables(found))


def _protocols(effort: Effort) -> list[Block]:
    install_peers()
    require("h2load", "nghttpd")  # before the rows that do not need them
    found = measure_protocols(effort)
    _keep(PROTOCOLS, found)
    return list(protocol_tables(found))


def _keep(name: str, found: Any) -> None:
    (RESULTS / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2))


PARTS: dict[str, Callable[[Effort], list[Block]]] = {
    "micro": _micro,
    "peers": _peers,
    "secure": _secure,
    "scale": _scale,
    "churn": _churn,
    PROTOCOLS: _protocols,
}

if __name__ == "__main__":
    sys.exit(main())
