"""Attacks on the cost of one look-up: routes that tenants may create, and requests that make the worst of them.

Each scenario goes through the graph and the compiler, so that only what is accepted is measured.
"""

import random
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
from snapshots import build
from walks import expensive_text

from fastroute.compiler.compile import compile_snapshot
from fastroute.ext.routing.tables import Tables
from fastroute.graph.build import build_graph
from fastroute.resources.core import Service
from fastroute.resources.gateway import Gateway, GatewayClass
from fastroute.resources.httproute import HTTPRoute
from fastroute.resources.meta import Resource
from fastroute.resources.world import Resources
from fastroute.settings import GraphSettings

EXPRESSION = "RegularExpression"
HOST = ".".join("a" * 110) + ".z"  # many hostnames of routes match it
# An expression that costs much in proportion to its price (bench/expressions.py), and its most expensive text.
HEAVY = r"(?:.*(?:d[^g][gch]b|h[^dch]f|[^edbfg]cd[abceh]|(?:\b){3,6}))*!"
TEXT = expensive_text(HEAVY, 4090)[0].decode("utf-8", "ignore") + "."  # does not match
LETTERS = "".join(random.Random(2).choices("ab", k=60_000)) + "c"


class Attack(NamedTuple):
    routes: Iterable[HTTPRoute]
    path: str = "/"
    host: str = "h"
    headers: tuple[tuple[str, str], ...] = ()
    query: str | None = None


def the(type_: type[Any], namespace: str, name: str, **parts: Any) -> Any:
    return msgspec.convert({"metadata": {"namespace": namespace, "name": name}, **parts}, type_)


def route(namespace: str, name: str, matches: list[Any], hostnames: Iterable[str] = ()) -> HTTPRoute:
    """With at most 64 matches in a rule, as the API allows."""
    rules = [{"matches": matches[at : at + 64]} for at in range(0, len(matches), 64)]
    spec = {"parentRefs": [{"namespace": "infra", "name": "gw"}], "hostnames": list(hostnames), "rules": rules}
    made: HTTPRoute = the(HTTPRoute, namespace, name, spec=spec)
    return made


def header(name: str, value: str, type_: str = "Exact") -> dict[str, Any]:
    return {"name": name, "value": value, "type": type_}


def path(value: str, type_: str = "PathPrefix") -> dict[str, Any]:
    return {"path": {"type": type_, "value": value}}


def resources(routes: Iterable[HTTPRoute]) -> Resources:
    allowed = {"namespaces": {"from": "All"}}
    listeners = [{"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": allowed}]
    gateway = the(Gateway, "infra", "gw", spec={"gatewayClassName": "fastroute", "listeners": listeners})
    class_ = the(GatewayClass, "", "fastroute", spec={"controllerName": "fastroute.dev/gateway"})
    return Resources(
        gateways=by_key(gateway),
        gateway_classes=by_key(class_),
        http_routes=by_key(*routes),
        services=by_key(*SERVICES),
    )


SERVICES: list[Service] = []


def by_key(*things: Any) -> dict[Any, Any]:
    return dict(sorted((thing.key, thing) for thing in things))


def tables_of(routes: Iterable[Resource]) -> tuple[Tables, int]:
    """What a worker installs, and how many of the routes are served."""
    snapshot = compile_snapshot(build_graph(resources(routes), GraphSettings())).snapshot  # type: ignore[arg-type]
    return build(snapshot.listeners.values(), snapshot.rules.values()), len(
        {rule.route for rule in snapshot.rules.values()}
    )


def seconds(tables: Tables, attack: Attack) -> float:
    """The processor time of one look-up."""
    fields = [(name, value.encode()) for name, value in attack.headers]
    began = time.thread_time()
    tables.find(0, "GET", attack.path, attack.host, fields, query=attack.query)
    return time.thread_time() - began


def nested(pattern: str, depth: int) -> str:
    """Another expression with the same meaning."""
    return "(?:" * depth + pattern + ")" * depth


def words(count: int) -> Iterator[str]:
    """Distinct parameter names, as short as possible."""
    letters = "bcdefghijklmnopqrstuvwxyz"
    yield from (
        letters[n % 25] + (letters[n // 25 % 25] if n >= 25 else "") + (letters[n // 625] if n >= 625 else "")
        for n in range(count)
    )


ATTACKS: dict[str, Attack] = {
    # The first three are refused: see `seconds` of the commit before.
    "128 expressions with many states": Attack(
        [route("evil", "a", [{"headers": [header("x", "[ab]*a[ab]{180}", EXPRESSION)]}] * 128)],
        headers=(("x", LETTERS),),
    ),
    "14 routes with 128 expressions": Attack(
        [
            route(
                "evil", f"r{n}", [{"headers": [header("x", f"[ab]*a[ab]{{40}}{n}{m}", EXPRESSION)]} for m in range(128)]
            )
            for n in range(14)
        ],
        headers=(("x", LETTERS[-4000:]),),
    ),
    "prefixes of 512 elements": Attack(
        [route("evil", f"r{n}", [path("/a" * 511 + "/b")], [f"*.{HOST[2 * n :]}"]) for n in range(1, 110)],
        "/a" * 2000,
        HOST,
    ),
    "as many expressions as five namespaces may have": Attack(
        [
            route(f"n{space}", f"r{n:02}", [{"headers": [header("x", nested(HEAVY, n), EXPRESSION)]}])
            for space in range(5)
            for n in range(40)
        ],
        headers=(("x", TEXT),),
    ),
    "small expressions in five namespaces": Attack(
        [
            route(f"n{space}", f"r{n:02}", [{"headers": [header("x", nested("[0-9]*", n), EXPRESSION)]}])
            for space in range(5)
            for n in range(40)
        ],
        headers=(("x", "1" * 4095 + "/"),),
    ),
    "expressions of paths": Attack(
        [
            route(f"n{space}", f"r{n:02}", [path(f"/{nested(HEAVY, n)}", EXPRESSION)])
            for space in range(5)
            for n in range(40)
        ],
        "/" + TEXT + TEXT[-1500:],
    ),
    "5,000 names of headers": Attack(
        [route("evil", f"r{n}", [{"headers": [header(f"x-{n}", "1")]}]) for n in range(5000)],
        headers=tuple((f"x-{n}", "2") for n in range(190)),
    ),
    "5,000 names of parameters": Attack(
        [route("evil", f"r{n}", [{"queryParams": [header(word, "1")]}]) for n, word in enumerate(words(5000))],
        query="&".join(words(2300)),
    ),
    "1,000 sets of headers that the request has": Attack(
        [
            route(
                f"n{space}",
                f"r{n}",
                [{"headers": [header(f"x-{b}", "1") for b in range(10) if n >> b & 1] + [header(f"y-{space}", "1")]}],
            )
            for space in range(4)
            for n in range(1024)
        ],
        headers=(*((f"x-{b}", "1") for b in range(10)), *((f"y-{b}", "2") for b in range(4))),
    ),
    "5,000 values of 4 KiB": Attack(
        [
            route(
                "evil",
                f"r{n:04}",
                [{"headers": [header("x", "v" * 4000 + str(n % 70)), header(f"y{n % 70}", "w" * 4000)]}],
            )
            for n in range(5000)
        ],
        headers=(("x", "v" * 4000 + "7"), *((f"y{n}", "w" * 4000) for n in range(13))),
    ),
    "110 hostnames with prefixes of 64 elements and conditions": Attack(
        [
            route(
                "evil",
                f"r{n}",
                [path("/a" * 64), path("/a" * 63 + "/b"), {**path("/a" * 60), "method": "PUT"}],
                [f"*.{HOST[2 * n :]}"],
            )
            for n in range(1, 110)
        ],
        "/b" + "/a" * 2000,
        HOST,
    ),
    "a header on 190 lines": Attack(
        [route("evil", f"r{n}", [{"headers": [header("x", "1"), header(f"y-{n}", "1")]}]) for n in range(2000)],
        headers=(("x", "v" * 300),) * 190,
    ),
}
