"""HTTP/1.1 without TLS, beside nginx and beside relay.c, which forwards bytes and parses nothing.

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
from bench.rounds import Row, Spell, in_rounds, per_request, side_by_side

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


def measure_floor(effort: Effort) -> list[Cost]:
    peers = [PEERS[OURS], PEERS["nginx"], Peer(RELAY, _relay, lambda: "cc")]
    if effort.before:
        peers.insert(1, before_peer(effort.before))
    with side_by_side(effort.kept(peers), backend_command) as proxies:
        costs = in_rounds([Row("keep-alive", "µs CPU/request", _keep_alive)], proxies, effort)
        others = [proxy for proxy in proxies if proxy.name != RELAY]
        return [*costs, *in_rounds([Row("new connection", "µs CPU/request", _fresh)], others, effort)]


if __name__ == "__main__":
    print_costs(__doc__, measure_floor)
