"""docs/fields.md, compared with the schemas and the graph: every field is listed once, and with the right verdict."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from graph.world import gateway, listener, listener_set, route, world

from fastroute.graph.build import build_graph
from fastroute.graph.finding import find_problems
from fastroute.graph.httproute import SERVED_FILTERS
from fastroute.resources.gateway import GROUP
from fastroute.resources.grpcroute import GRPCRoute
from fastroute.resources.meta import Resource
from fastroute.resources.route_kinds import ROUTES
from fastroute.resources.rule import attribute
from fastroute.resources.schema import List, Record
from fastroute.resources.shapes import SHAPES
from fastroute.resources.tcproute import TCPRoute
from fastroute.resources.tlsroute import TLSRoute
from fastroute.resources.udproute import UDPRoute
from fastroute.settings import GraphSettings

TEXT = (Path(__file__).parent.parent / "docs" / "fields.md").read_text()
KINDS = (
    "Gateway",
    "ListenerSet",
    *(name for name, kind in ROUTES.items() if kind.is_served),
    "BackendTLSPolicy",
)


class Row(NamedTuple):
    field: str
    verdict: str
    note: str


def rows(kind: str) -> list[Row]:
    section = TEXT.partition(f"## {kind}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| `(.+?)` \| (\w+) \|(.*)\|$", section, re.MULTILINE)
    return [Row(*map(str.strip, cells)) for cells in found]


def fields(shape: Any, path: str) -> Iterator[str]:
    """The path of every field without subfields, as the document writes it."""
    if isinstance(shape, List):
        yield from fields(shape.of, f"{path}[]")
    elif isinstance(shape, Record):
        for name, inner in shape.fields.items():
            yield from fields(inner, f"{path}.{name}")
    else:
        yield path


def covers(row: str, field: str) -> bool:
    whole = row.removesuffix(".*").removesuffix("[]")
    return field == row or (row.endswith(".*") and (field.startswith((f"{whole}.", f"{whole}[")) or field == whole))


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_stands_there_once(kind: str) -> None:
    known = list(fields(SHAPES[GROUP, kind].fields["spec"], "spec"))
    assert len(known) > 10
    listed = [row.field for row in rows(kind)]
    assert [field for field in known if sum(covers(row, field) for row in listed) != 1] == []
    assert [row for row in listed if not any(covers(row, field) for field in known)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_verdicts(kind: str) -> None:
    assert {row.verdict for row in rows(kind)} <= {"served", "refused", "ignored"}
    assert [row.field for row in rows(kind) if row.verdict == "refused" and "=False/" not in row.note] == []
    assert [row.field for row in rows(kind) if row.verdict == "ignored" and not row.note] == []


def rule(**more: Any) -> Any:
    return route("r", "infra", rules=[{"backendRefs": [], **more}])


FILTERS = {"requests": [{"type": "ExtensionRef"}]}
AUTH = {
    "type": "ExternalAuth",
    "externalAuth": {"protocol": "HTTP", "backendRef": {"name": "s", "port": 80}, "http": {}},
}
EXTENSION = {"type": "ExtensionRef", "extensionRef": {"group": "x.io", "kind": "F", "name": "f"}}
PARAMETERS = {"group": "x.io", "kind": "P", "name": "p"}
ALLOWING = {"allowedListeners": {"namespaces": {"from": "Same"}}}
REFUSED: dict[tuple[str, str], tuple[Resource, ...]] = {  # objects that use the refused field or value
    ("Gateway", "spec.listeners[].filters.*"): (gateway("gw", "infra", listener(filters=FILTERS)),),
    ("Gateway", "spec.addresses[].routability"): (
        gateway(spec={"addresses": [{"value": "127.0.0.1", "routability": "Cluster"}]}),
    ),
    ("Gateway", "spec.infrastructure.parametersRef.*"): (
        gateway(spec={"infrastructure": {"parametersRef": PARAMETERS}}),
    ),
    ("Gateway", "spec.defaultScope"): (gateway(spec={"defaultScope": "All"}),),
    ("ListenerSet", "spec.listeners[].filters.*"): (
        gateway(spec=ALLOWING),
        listener_set("ls", "infra", listener(port=81, filters=FILTERS)),
    ),
    ("HTTPRoute", "spec.useDefaultGateways"): (gateway(), route("r", "infra", spec={"useDefaultGateways": "All"})),
    ("HTTPRoute", "spec.rules[].filters[].externalAuth.*"): (gateway(), rule(filters=[AUTH])),
    ("HTTPRoute", "spec.rules[].filters[].extensionRef.*"): (gateway(), rule(filters=[EXTENSION])),
    ("GRPCRoute", "spec.useDefaultGateways"): (
        gateway(),
        route("r", "infra", type_=GRPCRoute, spec={"useDefaultGateways": "All"}),
    ),
    ("TLSRoute", "spec.useDefaultGateways"): (
        gateway("gw", "infra", listener(protocol="TLS", tls={"mode": "Passthrough"})),
        route("r", "infra", type_=TLSRoute, spec={"useDefaultGateways": "All"}),
    ),
    ("TCPRoute", "spec.useDefaultGateways"): (
        gateway("gw", "infra", listener(protocol="TCP")),
        route("r", "infra", type_=TCPRoute, spec={"useDefaultGateways": "All"}),
    ),
    ("UDPRoute", "spec.useDefaultGateways"): (
        gateway("gw", "infra", listener(protocol="UDP")),
        route("r", "infra", type_=UDPRoute, spec={"useDefaultGateways": "All"}),
    ),
    ("GRPCRoute", "spec.rules[].filters[].extensionRef.*"): (
        gateway(),
        route("r", "infra", type_=GRPCRoute, rules=[{"filters": [EXTENSION]}]),
    ),
}
REASON = re.compile(r"`(?:Accepted|ResolvedRefs)=False/(\w+)`")


def test_every_refused_field_is_tried() -> None:
    assert {(kind, row.field) for kind in KINDS for row in rows(kind) if row.verdict == "refused"} == set(REFUSED)


@pytest.mark.parametrize(("kind", "field"), REFUSED, ids=" ".join)
def test_what_is_refused_is_refused_by_name(kind: str, field: str) -> None:
    (row,) = (row for row in rows(kind) if row.field == field)
    said = REASON.search(row.note)
    assert said is not None
    graph = build_graph(world(*REFUSED[kind, field]), GraphSettings())
    found = [problem for problem in find_problems(graph) if problem.kind == kind and problem.reason == said[1]]
    words = field.removesuffix(".*").rpartition(".")[2]
    assert any(words in problem.message or words.lower() in problem.message.lower() for problem in found), found


def test_filters_are_those_of_the_code() -> None:
    listed = {row.field: row.verdict for row in rows("HTTPRoute")}
    for name in ("requestHeaderModifier", "responseHeaderModifier", "requestRedirect", "urlRewrite", "requestMirror"):
        assert listed[f"spec.rules[].filters[].{name}.*"] == "served"
    payloads = {attribute(name[0].lower() + name[1:]) for name in SERVED_FILTERS} | {"cors", "url_rewrite"}
    for field, verdict in listed.items():
        if found := re.fullmatch(r"spec\.rules\[\]\.filters\[\]\.(\w+)\.\*", field):
            assert (verdict == "served") == (attribute(found[1]) in payloads), field
    for name in ("sessionPersistence", "retry", "timeouts"):
        assert listed[f"spec.rules[].{name}.*"] == "served"
