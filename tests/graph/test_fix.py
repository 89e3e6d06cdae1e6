"""Every fix solves its problem: a grant applied unchanged, or YAML merged into its listener."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from graph.world import gateway, grant, listener, listener_set, make, ref, removed, replaced, route, world

from fastroute.graph.build import build_graph
from fastroute.graph.finding import Finding, find_problems
from fastroute.graph.fix import NAME_LABEL, grant_document, scalar
from fastroute.graph.grant import GrantSpace, Reference
from fastroute.resources.decode import decode
from fastroute.resources.gateway import AllowedRoutes, Gateway, ListenerSet
from fastroute.resources.grpcroute import GRPCRoute
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources
from fastroute.settings import GraphSettings
from fastroute.source.directory import Directory

GOLDEN = sorted((Path(__file__).parent.parent / "golden").glob("*.in.yaml"))


def problems(resources: Resources, reason: str) -> list[Finding]:
    return [found for found in find_problems(build_graph(resources, GraphSettings())) if found.reason == reason]


def fixed_grants(resources: Resources) -> Resources:
    for found in problems(resources, "RefNotPermitted"):
        assert found.fix is not None
        (entry,) = decode(found.fix, "fix.yaml")
        assert not entry.problems
        assert entry.resource is not None
        resources = replaced(resources, entry.resource)
    return resources


def fixed_stanzas(resources: Resources) -> Resources:
    for found in problems(resources, "NotAllowedByListeners"):
        if found.fix is None:
            continue
        where = found.fix.splitlines()[0].removeprefix("# In ").removesuffix(":")
        holder, listener_name = where.split(", listener ")
        kind, _, key = holder.partition(" ")
        holders: Any = resources.gateways if kind == "Gateway" else resources.listener_sets
        resources = with_stanza(resources, holders[Key(*key.split("/"))], listener_name, yaml.safe_load(found.fix))
    return resources


def with_stanza(resources: Resources, old: Gateway | ListenerSet, name: str, fragment: Any) -> Resources:
    allowed = msgspec.convert(fragment["allowedRoutes"], AllowedRoutes)
    listeners = tuple(
        msgspec.structs.replace(found, allowed_routes=allowed) if found.name == name else found
        for found in old.spec.listeners
    )
    return replaced(
        resources, msgspec.structs.replace(old, spec=msgspec.structs.replace(old.spec, listeners=listeners))
    )


@pytest.mark.parametrize("manifests", GOLDEN, ids=lambda path: path.name.removesuffix(".in.yaml"))
def test_fixes_mend_every_golden_world(manifests: Path) -> None:
    source = Directory([manifests])
    source.load()
    resources = fixed_grants(source.store.snapshot())
    assert problems(resources, "RefNotPermitted") == []
    left = problems(fixed_stanzas(resources), "NotAllowedByListeners")
    assert [found.fix for found in left if found.fix is not None] == []


def test_the_name_of_a_grant_is_free() -> None:
    taken = grant("infra-httproutes-to-echo", "red", "blue", "echo")
    resources = world(gateway(), route("r", "infra", ref("echo", "red")), taken)
    (found,) = problems(resources, "RefNotPermitted")
    (entry,) = decode(found.fix or "", "fix.yaml")
    assert entry.resource is not None
    assert entry.resource.key == Key("red", "infra-httproutes-to-echo-2")
    assert problems(replaced(resources, entry.resource), "RefNotPermitted") == []


class Counted(frozenset[str]):
    """Names that count how often one of them is looked for."""

    count = 0

    def __contains__(self, name: object) -> bool:
        self.count += 1
        return super().__contains__(name)


def test_the_free_name_is_searched_once_for_all_references() -> None:
    names = Counted(["red-httproutes-to-echo", *(f"red-httproutes-to-echo-{number}" for number in range(2, 2001))])
    space = GrantSpace(names=names)
    reference = Reference(
        kind="HTTPRoute", namespace="red", to_group="", to_kind="Service", to_namespace="blue", to_name="echo"
    )
    for _ in range(256):
        assert "name: red-httproutes-to-echo-2001\n" in grant_document(reference, {"blue": space})
    assert names.count == 256 + 2000


def test_a_grant_for_the_longest_names_is_one_that_can_be_applied() -> None:
    name = "s" * 63 + ".x" * 80
    resources = world(gateway(), route("r", "infra", ref(name, "1e3")))
    (found,) = problems(resources, "RefNotPermitted")
    (entry,) = decode(found.fix or "", "fix.yaml")
    assert not entry.problems
    assert problems(fixed_grants(resources), "RefNotPermitted") == []


EXPRESSIONS = [
    {"key": "x", "operator": "Exists"},
    {"key": "tier", "operator": "In", "values": ["a"]},
    {"key": "closed", "operator": "DoesNotExist"},
]
BY_LABEL = {"from": "Selector", "selector": {"matchLabels": {"open": "yes"}, "matchExpressions": EXPRESSIONS}}
BY_NAME = {
    "from": "Selector",
    "selector": {"matchExpressions": [{"key": NAME_LABEL, "operator": "In", "values": ["blue"]}]},
}


@pytest.mark.parametrize(
    ("allow", "stays"),
    [("Same", "infra"), (BY_NAME, "blue"), (BY_LABEL, None), ({"from": "Selector"}, None)],
)
def test_a_stanza_admits_one_more_and_shuts_nobody_out(allow: Any, stays: str | None) -> None:
    resources = world(gateway("gw", "infra", listener(allow=allow)), route("r", "red"))
    mended = fixed_stanzas(resources)
    assert problems(resources, "NotAllowedByListeners") != []
    assert problems(mended, "NotAllowedByListeners") == []
    if stays is not None:
        both = replaced(mended, route("r", stays))
        assert problems(both, "NotAllowedByListeners") == []


def test_a_stanza_over_labels_names_the_label_command() -> None:
    resources = world(gateway("gw", "infra", listener(allow=BY_LABEL)), route("r", "red"))
    (found,) = problems(resources, "NotAllowedByListeners")
    assert "kubectl label namespace red open=yes x= tier=a closed-" in (found.fix or "")


@pytest.mark.parametrize(
    "selector",
    [
        {
            "matchExpressions": [
                {"key": NAME_LABEL, "operator": "In", "values": [f"n{number}" for number in range(3000)]}
            ]
        },
        {"matchExpressions": [{"key": f"key-{number}", "operator": "Exists"} for number in range(3000)]},
        {"matchLabels": {f"key-{number}": "yes" for number in range(3000)}},
        {"matchLabels": {"key": "x" * 100_000}},
        {"matchExpressions": [{"key": NAME_LABEL, "operator": "In", "values": ["x" * 100_000]}]},
    ],
)
def test_no_stanza_repeats_a_long_selector(selector: Any) -> None:
    """Every route that is refused would have its own."""
    allow = {"from": "Selector", "selector": selector}
    allowing = {"allowedListeners": {"namespaces": allow}}
    resources = world(gateway("gw", "infra", listener(allow=allow), spec=allowing), route("r", "red"))
    (found,) = problems(resources, "NotAllowedByListeners")
    (other,) = problems(replaced(resources, listener_set("ls", "red")), "NotAllowed")
    assert found.fix is other.fix is None
    assert len(found.message) < 1000
    assert len(other.message) < 1000


def test_a_stanza_lists_the_kind_too() -> None:
    only_grpc = gateway("gw", "infra", listener(allow="All", kinds=[{"kind": "GRPCRoute"}]))
    resources = world(only_grpc, route("r", "red"), route("r", "red", type_=GRPCRoute))
    assert [found.kind for found in problems(resources, "NotAllowedByListeners")] == ["HTTPRoute"]
    assert problems(fixed_stanzas(resources), "NotAllowedByListeners") == []


def test_no_stanza_helps_a_protocol_that_is_not_served() -> None:
    tls = make(
        Gateway, "infra", "gw", {"gatewayClassName": "fastroute", "listeners": [listener(protocol="example.com/own")]}
    )
    (found,) = problems(world(tls, route("r", "red")), "NotAllowedByListeners")
    assert found.fix is None
    assert "protocol example.com/own, which is not served" in found.message


def test_a_grant_taken_away_is_offered_again() -> None:
    resources = fixed_grants(world(gateway(), route("r", "infra", ref("echo", "red"))))
    (key,) = resources.reference_grants
    assert len(problems(removed(resources, type(resources.reference_grants[key]), key), "RefNotPermitted")) == 1


@pytest.mark.parametrize("text", ["", "a", "true", "No", "123", "1e3", "a b", "0x1", "-", "~", "é", "null", "a: b"])
def test_a_scalar_is_read_back_as_the_text_it_was(text: str) -> None:
    assert yaml.safe_load(f"- {scalar(text)}") == [text]
