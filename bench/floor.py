"""HTTP/1.1 without TLS, beside nginx and relay.c, which forwards bytes and parses nothing; uploads beside HAProxy.

    python -m bench.floor [--rounds 7] [--seconds 3]

The cost of the relay is the floor for kept-alive connections. With a new connection for each request it would need one
to the backend as well, so that row is measured beside nginx alone.
"""

from bench.compare import CONNECTIONS, OURS, Cost, Effort
from bench.compiled import compiled
from bench.load import Style, closed_loop
from bench.peers import PEERS, Peer, Running, Setup, backend_command, before_peer
from bench.process import proxy_and_load_core
from bench.report import print_costs
from bench.rounds import Row, Spell, in_rounds, per_gib, per_request, side_by_side

RELAY = "relay"


def _relay(setup: Setup) -> list[str]:
    return [compiled("relay"), str(setup.port), str(setup.backend)]


def _load(proxy: Running, seconds: int, style: Style) -> Spell:
    _, core = proxy_and_load_core()
    return per_request(closed_loop(proxy, "/route-0/x", core, seconds=seconds, connections=CONNECTIONS, style=style))


def _keep_alive(proxy: Running, seconds: int) -> Spell:
    return _load(proxy, seconds, Style.KEEP_ALIVE)


def _fresh(proxy: Running, seconds: int) -> Spell:
    return _load(proxy, seconds, Style.FRESH)


def _upload(proxy: Running, seconds: int) -> Spell:
    _, core = proxy_and_load_core()
    return per_gib(closed_loop(proxy, "/route-0/upload", core, seconds=seconds, connections=8, style=Style.UPLOAD))


def measure_floor(effort: Effort) -> list[Cost]:
    peers = [PEERS[OURS], PEERS["nginx"], PEERS["haproxy"], Peer(RELAY, _relay, lambda: "cc")]
    if effort.before:
        peers.insert(1, before_peer(effort.before))
    with side_by_side(effort.kept(peers), backend_command) as proxies:
        costs: list[Cost] = []
        for row, without in (
            (Row("keep-alive", "µs CPU/request", _keep_alive), "haproxy"),
            (Row("new connection", "µs CPU/request", _fresh), RELAY),
            (Row("1 MiB uploads", "s CPU/GiB", _upload), RELAY),
        ):
            costs += in_rounds([row], [proxy for proxy in proxies if proxy.name != without], effort)
        return costs


if __name__ == "__main__":
    print_costs(__doc__, measure_floor)
