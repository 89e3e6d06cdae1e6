"""What a BackendTLSPolicy demands, and the problems of those that cannot be fulfilled."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from graph.secrets import chain
from graph.world import (
    config_map,
    gateway,
    listener_set,
    ref,
    removed,
    replaced,
    route,
    service,
    tls_policy,
    world,
)

from fastroute.ext.tls.anchors import judge_anchors
from fastroute.graph import policy_room
from fastroute.graph.authorities import judge, memory_of, merged
from fastroute.graph.build import build_graph
from fastroute.graph.node import Graph
from fastroute.graph.policy_unit import PolicyUnit
from fastroute.resources.core import MOST_AUTHORITIES, ConfigMap
from fastroute.resources.meta import Key, Resource
from fastroute.resources.policy import BackendTLSPolicy
from fastroute.settings import GraphSettings
from fastroute.snapshot import BackendTLS

SETTINGS = GraphSettings()
CA, OTHER = (chain("ca", number=number).decode() for number in (0, 1))
MAPS = (
    config_map("ca", "infra", CA),
    config_map("other", "infra", OTHER),
    config_map("both", "infra", f"a comment\n{CA}\n# {OTHER}{OTHER}{CA}"),
    config_map("empty", "infra"),
    config_map("blank", "infra", " \n"),
    config_map("odd", "infra", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"),
    config_map("costly", "infra", CA + chain("ca", kind="rsa-4104").decode()),
    config_map("cut", "infra", CA + CA[: len(CA) // 2]),
    config_map("long", "infra", "x" * (MOST_AUTHORITIES + 1)).trimmed(),
)


def graph_of(*objects: Resource, settings: GraphSettings = SETTINGS) -> Graph:
    base = (gateway(), route("r", "infra", ref("s")), service("s", "infra", {"name": "web", "port": 80}))
    return build_graph(world(*base, *MAPS, *objects), settings)


def unit(**more: Any) -> PolicyUnit:
    found: PolicyUnit = graph_of(tls_policy("p", "infra", "s", **more)).memo.policies.units[Key("infra", "p")]
    return found


def demanded(**more: Any) -> BackendTLS:
    found = unit(**more)
    assert found.problems == ()
    assert found.tls is not None
    return found.tls


def test_what_is_demanded() -> None:
    assert demanded() == BackendTLS(server_name="a.example.com")
    assert demanded(authorities=("ca",)) == BackendTLS(server_name="a.example.com", trust_anchors=CA.encode())
    names = [
        {"type": "Hostname", "hostname": "*.example.com"},
        {"type": "URI", "uri": "spiffe://example.com/a"},
        {"type": "Hostname", "hostname": "b.example.com"},
    ]
    tls = demanded(validation={"subjectAltNames": names})
    assert (tls.subject_names, tls.subject_uris) == (("*.example.com", "b.example.com"), ("spiffe://example.com/a",))


@pytest.mark.parametrize("names", [("both",), ("ca", "other"), ("other", "ca", "other"), ("both", "ca")])
def test_each_ca_certificate_counts_once(names: tuple[str, ...]) -> None:
    anchors = demanded(authorities=names).trust_anchors
    assert judge_anchors(anchors) == 2
    assert set(anchors.split(b"-----END CERTIFICATE-----\n")) == {
        part for pem in (CA, OTHER) for part in pem.encode().split(b"-----END CERTIFICATE-----\n")
    }


def test_a_single_config_map_needs_no_copy() -> None:
    """Thousands of policies may refer to the same one."""
    pem = CA.encode()
    assert merged((pem,)) is pem


LOCAL = {"group": "", "kind": "ConfigMap", "name": "ca"}


@pytest.mark.parametrize(
    ("authority", "reason", "field", "words"),
    [
        ("nothing", "InvalidCACertificateRef", "[0].name", "ConfigMap nothing does not exist in namespace infra."),
        ("empty", "InvalidCACertificateRef", "[0]", "has no ca.crt"),
        ("blank", "InvalidCACertificateRef", "[0]", "has nothing in ca.crt"),
        ("odd", "InvalidCACertificateRef", "[0]", "no readable PEM certificates"),
        ("cut", "InvalidCACertificateRef", "[0]", "has 2 certificates in ca.crt of which 1 are whole"),
        (
            "costly",
            "InvalidCACertificateRef",
            "[0]",
            "has a CA certificate whose signatures are too expensive to verify",
        ),
        ("long", "InvalidCACertificateRef", "[0]", "has 524,289 characters in ca.crt (maximum 524,288)"),
        ({**LOCAL, "kind": "Secret"}, "InvalidKind", "[0].kind", 'refers to kind Secret of group ""'),
        ({**LOCAL, "kind": "configmap"}, "InvalidKind", "[0].kind", 'only kind ConfigMap of group ""'),
        ({**LOCAL, "group": "x.io"}, "InvalidKind", "[0].kind", 'of group "x.io"'),
    ],
)
def test_a_reference_that_leads_to_no_certificate(authority: Any, reason: str, field: str, words: str) -> None:
    found = unit(authorities=(authority,))
    refs = "spec.validation.caCertificateRefs"
    said = [(problem.condition, problem.reason, problem.field) for problem in found.problems]
    assert said == [
        ("ResolvedRefs", reason, f"{refs}{field}"),
        ("Accepted", "NoValidCACertificate", refs),
    ]
    assert words in found.problems[0].message
    assert found.tls is None
    assert found.withheld is not None
    assert words in found.withheld.message


def test_the_other_references_of_such_a_policy_count() -> None:
    """A backend whose certificate was issued by another CA is not trusted."""
    found = unit(authorities=("ca", "nothing"))
    assert [problem.condition for problem in found.problems] == ["ResolvedRefs"]
    assert found.tls is not None
    assert found.tls.trust_anchors == CA.encode()


URI_FIELD = "spec.validation.subjectAltNames[0].uri"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"validation": {"wellKnownCACertificates": "x.io/Some"}}, "spec.validation.wellKnownCACertificates"),
        (
            {"validation": {"subjectAltNames": [{"type": "URI", "uri": "a://b c"}]}},
            "spec.validation.subjectAltNames[0].uri",
        ),
        (
            {"validation": {"subjectAltNames": [{"type": "URI", "uri": "a://ä"}]}},
            "spec.validation.subjectAltNames[0].uri",
        ),
        ({"options": {"fastroute.dev/x": "y"}}, "spec.options[fastroute.dev/x]"),
    ],
)
def test_values_that_are_not_served(more: Any, field: str) -> None:
    """A policy is fulfilled completely or not at all."""
    found = unit(**more)
    assert [(problem.condition, problem.reason, problem.field) for problem in found.problems] == [
        ("Accepted", "Invalid", field)
    ]
    assert found.tls is None


def test_policies_above_the_memory_of_their_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are fulfilled. Equal trust anchors count once. A policy that is removed makes room."""
    for name, value in {"CONTEXT": 1, "MOST": memory_of([CA.encode(), OTHER.encode()]) + 3}.items():
        monkeypatch.setattr(policy_room, name, value)
    policies = [
        tls_policy("a", "infra", "s", authorities=("ca",)),
        tls_policy("b", "infra", "s", authorities=("both",)),  # two more certificates
        tls_policy("c", "infra", "s", authorities=("ca",)),
        tls_policy("d", "infra", "s", authorities=("other",)),
        tls_policy("e", "infra", "s"),
        tls_policy("a", "red", "s"),
    ]
    before = graph_of(*policies)

    def fulfilled(graph: Graph) -> list[str]:
        return sorted(map(str, graph.memo.policies.tls))

    assert fulfilled(before) == ["infra/a", "infra/c", "infra/d", "red/a"]
    problem = before.memo.policies.units[Key("infra", "b")].problems[-1]
    assert (problem.condition, problem.reason) == ("Accepted", "Invalid")
    assert "older policies of this namespace" in problem.message
    gone = removed(before.memo.resources, BackendTLSPolicy, Key("infra", "a"))
    after = build_graph(gone, SETTINGS, before)
    assert fulfilled(after) == fulfilled(build_graph(gone, SETTINGS)) == ["infra/b", "infra/e", "red/a"]


def held(value: Any) -> set[int]:
    """The ids of the long byte strings in it."""
    if isinstance(value, bytes):
        return {id(value)} if len(value) > 100 else set()
    if isinstance(value, PolicyUnit):
        return held(value.tls) | held(value.anchors)
    parts = value if isinstance(value, tuple) else value.values() if isinstance(value, Mapping) else ()
    parts = msgspec.structs.astuple(value) if isinstance(value, BackendTLS) else parts
    return set().union(*map(held, parts))


def test_what_does_not_fit_takes_no_memory_and_what_fits_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Policies can combine the ConfigMaps of a namespace in any order."""
    count = 30
    pems = [chain(f"ca{number:02}", number=number) for number in range(count)]
    most = memory_of([*pems[:20], *20 * [CA.encode(), OTHER.encode()]])
    for name, value in {"CONTEXT": 0, "MOST": most}.items():
        monkeypatch.setattr(policy_room, name, value)
    maps = [config_map(f"m{number:02}", "infra", pem.decode()) for number, pem in enumerate(pems)]
    combinations = [(f"m{number:02}", "other", "ca") for number in range(count)]
    policies = [
        tls_policy(f"p{turn}-{names[0]}", "infra", "s", authorities=names) for turn in "ab" for names in combinations
    ]
    found = graph_of(*maps, *policies).memo.policies
    assert len(found.tls) == 2 * 20, "the oldest, and those with the same ConfigMaps"
    alone = count + 2
    assert len(held(found.spaces)) == alone
    assert len(held(found.units)) == alone + 20
    assert len(held(found.tls)) == 20


def test_the_room_for_a_certificate_depends_on_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL makes an object of each name."""
    monkeypatch.setattr(policy_room, "MOST", 10 * (policy_room.CONTEXT + memory_of([CA.encode()])))
    large = config_map("large", "infra", chain("ca", *(f"{number}.org" for number in range(2000))).decode())
    policies = [tls_policy(name, "infra", "s", authorities=(name,)) for name in ("large", "other")]
    assert list(graph_of(large, *policies).memo.policies.tls) == [Key("infra", "other")]


def test_a_machine_without_ca_certificates() -> None:
    policies = (
        tls_policy("system", "infra", "s", validation={"wellKnownCACertificates": "System"}),
        tls_policy("named", "infra", "t", authorities=("ca",)),
    )
    graph = graph_of(*policies, settings=GraphSettings(system_anchors=False))
    units = graph.memo.policies.units
    [problem] = units[Key("infra", "system")].problems
    assert (problem.condition, problem.reason) == ("Accepted", "NoValidCACertificate")
    assert problem.field == "spec.validation.wellKnownCACertificates"
    assert "package ca-certificates" in problem.message
    assert units[Key("infra", "system")].tls is None
    assert units[Key("infra", "named")].problems == ()


def test_options_of_others_do_not_matter() -> None:
    assert demanded(options={"example.com/x": "y"}) == demanded()


def test_a_config_map_that_nobody_names_is_not_read() -> None:
    policies = graph_of(tls_policy("p", "infra", "s", authorities=("ca",))).memo.policies
    assert list(policies.authorities) == [Key("infra", "ca")]


def test_a_config_map_that_has_not_changed_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[ConfigMap] = []

    def counted(source: ConfigMap) -> Any:
        read.append(source)
        return judge(source)

    monkeypatch.setattr("fastroute.graph.authorities.judge", counted)
    policies = [tls_policy(f"p{number}", "infra", "s", authorities=("ca",)) for number in range(3)]
    before = graph_of(*policies)
    renamed = tls_policy("p1", "infra", "s", authorities=("ca",), validation={"hostname": "b.example.com"})
    after = build_graph(replaced(before.memo.resources, renamed), SETTINGS, before)
    assert len(read) == 1
    build_graph(replaced(after.memo.resources, config_map("ca", "infra", OTHER)), SETTINGS, after)
    assert len(read) == 2
    gone = build_graph(removed(after.memo.resources, ConfigMap, Key("infra", "ca")), SETTINGS, after)
    assert gone.memo.policies.authorities == {}


def conditions(graph: Graph, name: str) -> list[tuple[str, str, str]]:
    """Of the policy: each ancestor with its bad conditions."""
    node = graph.policies.get(Key("infra", name))
    said = " ".join(f"{one.condition}/{one.reason}" for one in node.problems) if node else ""
    return [(str(one), said, node.scope) for one in node.ancestors] if node else []


def test_the_gateways_that_reach_a_target_are_ancestors() -> None:
    """Directly or through a ListenerSet, by backendRefs or mirrors; not if the reference is not permitted."""
    open_to_all = {"allowedListeners": {"namespaces": {"from": "All"}}}
    mirror = [{"type": "RequestMirror", "requestMirror": {"backendRef": ref("t")}}]
    parents = {name: [{"namespace": "infra", "name": name}] for name in ("b", "c")}
    graph = graph_of(
        *(
            gateway(name, "infra", {"name": "x", "port": port, "protocol": "HTTP"})
            for name, port in (("b", 81), ("c", 82))
        ),
        gateway("d", "infra", {"name": "x", "port": 83, "protocol": "HTTP"}, spec=open_to_all),
        listener_set("ls", "infra", {"name": "y", "port": 84, "protocol": "HTTP"}, parent="d"),
        route("b", "infra", rules=[{"filters": mirror, "backendRefs": [ref("s", port=99)]}], parents=parents["b"]),
        route("ls", "infra", ref("s"), parents=[{"kind": "ListenerSet", "name": "ls"}]),
        route("other", "infra", ref("s", "red"), parents=parents["c"]),
        service("t", "infra"),
        service("s", "red"),
        tls_policy("of-s", "infra", "s"),
        tls_policy("of-t", "infra", "t"),
        tls_policy("of-both", "infra", "s", "t"),
        tls_policy("unused", "infra", "nobody"),
        tls_policy("p", "red", "s"),
    )
    named = {key.name: [one.name for one in node.ancestors] for key, node in graph.policies.items()}
    assert named == {"of-s": ["b", "d", "gw"], "of-t": ["b"], "of-both": ["b", "d", "gw"]}


def test_policies_in_conflict() -> None:
    graph = graph_of(
        tls_policy("a", "infra", "s"),
        tls_policy("b", "infra", "s"),
        tls_policy("c", "infra", "s", section="web"),
        tls_policy("d", "infra", "s", section="web"),
        tls_policy("e", "infra", "s", "t"),
        service("t", "infra"),
    )
    assert conditions(graph, "a") == [("infra/gw", "", "Applies to Service infra/s.")]
    assert conditions(graph, "b")[0][1] == "Accepted/Conflicted"
    assert conditions(graph, "c") == [("infra/gw", "", "Applies to port web of Service infra/s.")]
    assert conditions(graph, "d")[0][1] == "Accepted/Conflicted"
    assert (
        "port web of Service infra/s: BackendTLSPolicy infra/c" in graph.policies[Key("infra", "d")].problems[0].message
    )
    assert conditions(graph, "e")[0][1:] == (
        "",
        "Applies to Service infra/t. Not to every target: BackendTLSPolicy infra/a has precedence for Service infra/s.",
    )


def test_a_policy_without_a_target() -> None:
    graph = graph_of(
        tls_policy("p", "infra", "s", section="wbe"), route("m", "infra", ref("x")), tls_policy("q", "infra", "x")
    )
    assert [conditions(graph, name)[0][1] for name in ("p", "q")] == ["Accepted/TargetNotFound"] * 2
    messages = [graph.policies[Key("infra", name)].problems[0].message for name in ("p", "q")]
    assert messages == [
        "The policy applies to nothing: Service infra/s has no port named wbe; named are: web.",
        "The policy applies to nothing: Service infra/x does not exist.",
    ]
