"""The certificate of a Gateway for backends: which references are served, and which connections show which one."""

from typing import Any

import pytest
from graph.secrets import chain, key_pem, plain_secret, secret
from graph.world import (
    config_map,
    endpoint_slice,
    gateway,
    grant,
    https,
    listener,
    listener_set,
    ref,
    removed,
    replaced,
    route,
    service,
    tls_policy,
    world,
)

from fastroute.compiler.compile import Compiled, compile_snapshot
from fastroute.ext.tls.certificate import CERTIFICATES_MOST
from fastroute.graph.build import build_graph
from fastroute.graph.node import Graph
from fastroute.publication import ClientCertificate, UpsertBackend, difference, publication, restored_backend
from fastroute.resources.core import Secret
from fastroute.resources.meta import Key, Resource
from fastroute.settings import GraphSettings
from fastroute.snapshot import Mirror, Snapshot
from fastroute.status import build_statuses, everything_bound

FIELD = "spec.tls.backend.clientCertificateRef"
INVALID = "InvalidClientCertificateRef"
CA = chain("ca").decode()
OPEN = {"allowedListeners": {"namespaces": {"from": "All"}}}
PAIR = {"tls.crt": chain("a"), "tls.key": key_pem()}
SECRETS = (
    secret("good", "infra"),
    secret("good", "certs"),
    plain_secret("empty", "infra", {}),
    plain_secret("other-key", "infra", {**PAIR, "tls.key": key_pem(number=1)}),
    plain_secret("long", "infra", {**PAIR, "tls.crt": chain("a") * (CERTIFICATES_MOST + 1)}),
    plain_secret("large", "infra", {**PAIR, "tls.crt": chain("a", kind="rsa-4104")}),
)


def showing(shown: Any, *listeners: Any, name: str = "gw", **spec: Any) -> Any:
    tls = {"backend": {"clientCertificateRef": {"name": shown} if isinstance(shown, str) else shown}}
    return gateway(name, "infra", *listeners, spec={"tls": tls, **OPEN, **spec})


def built(*objects: Resource) -> Graph:
    return build_graph(world(*objects), GraphSettings())


def conditions(graph: Graph) -> dict[str, tuple[str, str]]:
    status = build_statuses(graph, everything_bound(graph)).patches["Gateway", Key("infra", "gw")].status
    return {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}


@pytest.mark.parametrize(
    ("shown", "reason", "field", "word"),
    [
        ({"name": "none"}, INVALID, ".name", "does not exist"),
        ({"name": "empty"}, INVALID, "", "has no tls.crt"),
        ({"name": "other-key"}, INVALID, "", "does not belong"),
        ({"name": "long"}, INVALID, "", "has 11 certificates"),
        ({"name": "large"}, INVALID, "", "RSA key of 4104 bits"),
        ({"name": "good", "group": "x.io"}, INVALID, ".kind", "only kind Secret"),
        ({"name": "good", "kind": "ConfigMap"}, INVALID, ".kind", "only kind Secret"),
        ({"name": "good", "namespace": "certs"}, "RefNotPermitted", "", "ReferenceGrant"),
        ({"name": "none", "namespace": "certs"}, "RefNotPermitted", "", "ReferenceGrant"),
    ],
)
def test_a_reference_that_is_not_served(shown: dict[str, str], reason: str, field: str, word: str) -> None:
    """The Gateway is served, and connects to backends without a certificate."""
    graph = built(showing(shown), *SECRETS)
    node = graph.gateways[Key("infra", "gw")]
    (problem,) = node.problems
    assert (problem.condition, problem.reason, problem.field) == ("ResolvedRefs", reason, FIELD + field)
    assert word in problem.message
    assert problem.message.endswith(
        "Until this is corrected, connections to backends are made without a client certificate."
    )
    assert node.client_certificate is None
    assert node.listeners[0].serves
    assert conditions(graph) == {
        "Accepted": ("True", "Accepted"),
        "Programmed": ("True", "Programmed"),
        "ResolvedRefs": ("False", reason),
    }


def test_a_certificate_of_its_own_namespace() -> None:
    graph = built(showing("good"), *SECRETS)
    assert conditions(graph)["ResolvedRefs"] == ("True", "ResolvedRefs")
    assert graph.gateways[Key("infra", "gw")].client_certificate == "infra/good"
    assert list(graph.certificates) == ["infra/good"]


def test_a_certificate_of_another_namespace_needs_a_grant() -> None:
    allowed = grant("g", "certs", "infra", "good", from_kind="Gateway", to_kind="Secret")
    graph = built(showing({"name": "good", "namespace": "certs"}), allowed, *SECRETS)
    assert graph.gateways[Key("infra", "gw")].client_certificate == "certs/good"


def test_a_listener_with_a_reference_that_is_not_resolved() -> None:
    graph = built(showing("good", listener(), https("secure", "none")), *SECRETS)
    assert conditions(graph)["ResolvedRefs"] == ("False", "ListenersNotResolved")
    both = built(showing("none", listener(), https("secure", "none")), *SECRETS)
    assert conditions(both)["ResolvedRefs"] == ("False", INVALID)
    other = built(gateway("gw", "infra", listener(), https("secure", "none")), *SECRETS)
    assert "ResolvedRefs" not in conditions(other)


def test_a_gateway_without_one_has_no_such_condition() -> None:
    graph = built(gateway(spec={"tls": {"backend": {}}}))
    assert "ResolvedRefs" not in conditions(graph)


# --- which connections show it

EDGE, CORE = (
    showing(name, listener(port=port), name=gateway_)
    for name, port, gateway_ in (("one", 80, "edge"), ("two", 81, "core"))
)
BARE = gateway("bare", "infra", listener(port=82), spec=OPEN)
MIRRORED = [{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "copy", "port": 80}}}]
POLICY = tls_policy("p", "infra", "s", "copy", authorities=("m",))


def parents(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


def resources(*more: Resource) -> Any:
    return world(
        EDGE,
        CORE,
        BARE,
        secret("one", "infra"),
        secret("two", "infra", number=1),
        service("s", "infra"),
        service("copy", "infra"),
        service("plain", "infra"),
        endpoint_slice("s", "infra", "s", "10.0.0.1"),
        POLICY,
        config_map("m", "infra", CA),
        *more,
    )


def snapshot_of(graph: Graph, previous: Compiled | None = None) -> Snapshot:
    return compile_snapshot(graph, previous=previous).snapshot if previous else compile_snapshot(graph).snapshot


def shown_by(snapshot: Snapshot) -> dict[str, str]:
    """By Gateway and route: the certificate in use, by the Secret that has it now."""
    secrets = {one: id_ for id_, one in snapshot.certificates.items()}
    found = {}
    for rule in snapshot.rules.values():
        (weighted,) = rule.backends
        tls = snapshot.backends[weighted.backend].tls
        found[f"{rule.gateway} {rule.route}"] = (
            secrets[tls.client_certificate] if tls and tls.client_certificate else ""
        )
    return found


def test_each_gateway_shows_its_own() -> None:
    every = route("r", "infra", ref("s"), parents=parents("edge", "core", "bare"))
    graph = build_graph(resources(every), GraphSettings())
    snapshot = snapshot_of(graph)
    assert shown_by(snapshot) == {
        "infra/edge infra/r": "infra/one",
        "infra/core infra/r": "infra/two",
        "infra/bare infra/r": "",
    }
    assert list(snapshot.backends) == ["infra/s:80", "infra/s:80/@infra/one", "infra/s:80/@infra/two"]
    assert list(snapshot.endpoints) == list(snapshot.backends)
    assert {rule.backends[0].label for rule in snapshot.rules.values()} == {"infra/s:80"}
    assert list(graph.backends) == ["infra/s:80"]


def test_a_backend_that_one_gateway_uses_exists_once() -> None:
    snapshot = snapshot_of(
        build_graph(resources(route("r", "infra", ref("s"), parents=parents("edge"))), GraphSettings())
    )
    assert list(snapshot.backends) == ["infra/s:80/@infra/one"]


def test_without_tls_no_certificate_is_shown() -> None:
    made = build_graph(resources(route("r", "infra", ref("plain"), parents=parents("edge"))), GraphSettings())
    assert shown_by(snapshot_of(made)) == {"infra/edge infra/r": ""}


def test_mirrors_show_it_too() -> None:
    rules = [{"backendRefs": [ref("s")], "filters": MIRRORED}]
    one = route("r", "infra", rules=rules, parents=parents("edge"))
    snapshot = snapshot_of(build_graph(resources(one), GraphSettings()))
    (rule,) = snapshot.rules.values()
    assert rule.filters == (Mirror(backend="infra/copy:80/@infra/one"),)
    assert snapshot.backends["infra/copy:80/@infra/one"].tls == snapshot.backends["infra/s:80/@infra/one"].tls


def test_listeners_of_listener_sets_show_that_of_the_gateway() -> None:
    of_set = listener_set("set", "team", listener("own", 8080), https("secure", "c", port=8443), parent="edge")
    one = route("r", "team", ref("s", "infra"), parents=[{"kind": "ListenerSet", "name": "set"}])
    allowed = grant("g", "infra", "team", "s")
    set_parent = world(of_set).listener_sets[Key("team", "set")]
    assert set_parent.spec.parent_ref.name == "edge"
    snapshot = snapshot_of(build_graph(resources(of_set, one, allowed), GraphSettings()))
    assert set(shown_by(snapshot).values()) == {"infra/one"}


FAR = showing({"name": "good", "namespace": "certs"}, listener(port=83), name="far")
ALLOWED = grant("g", "certs", "infra", "good", from_kind="Gateway", to_kind="Secret")
EDITS: dict[str, Any] = {
    "another certificate in the Secret": secret("one", "infra", number=2),
    "an invalid Secret": plain_secret("one", "infra", {}),
    "no Secret": (Secret, Key("infra", "one")),
    "another Secret": showing("two", listener(port=80), name="edge"),
    "no reference": gateway("edge", "infra", listener(port=80), spec=OPEN),
    "another parent": route("r", "infra", ref("s"), parents=parents("core")),
    "no policy": (type(POLICY), POLICY.key),
    "another certificate in the Secret of another namespace": secret("good", "certs", number=1),
    "no Secret in another namespace": (Secret, Key("certs", "good")),
    "no grant": (type(ALLOWED), ALLOWED.key),
    "a grant for another Secret": grant("g", "certs", "infra", "other", from_kind="Gateway", to_kind="Secret"),
    "a Secret of another namespace without a grant": showing(
        {"name": "one", "namespace": "certs"}, listener(port=80), name="edge"
    ),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_gives_what_a_build_from_scratch_gives(edit: Any) -> None:
    far = (FAR, ALLOWED, secret("good", "certs"), secret("one", "certs"))
    before = resources(route("r", "infra", ref("s"), parents=parents("edge", "core", "far")), *far)
    after = removed(before, *edit) if isinstance(edit, tuple) else replaced(before, edit)
    graph = build_graph(before, GraphSettings())
    compiled = compile_snapshot(graph)
    edited = build_graph(after, GraphSettings(), graph)
    again = compile_snapshot(edited, previous=compiled)
    scratch = snapshot_of(build_graph(after, GraphSettings()))
    assert again.snapshot == scratch
    assert again.snapshot != compiled.snapshot
    back = compile_snapshot(build_graph(before, GraphSettings(), edited), previous=again)
    assert back.snapshot == compiled.snapshot


def test_a_new_certificate_changes_no_rule() -> None:
    before = resources(route("r", "infra", ref("s"), parents=parents("edge", "core")))
    graph = build_graph(before, GraphSettings())
    compiled = compile_snapshot(graph)
    again = compile_snapshot(
        build_graph(replaced(before, secret("one", "infra", number=2)), GraphSettings(), graph), previous=compiled
    )
    changes = difference(compiled.snapshot, again.snapshot)
    assert [one.id for one in changes if isinstance(one, UpsertBackend)] == ["infra/s:80/@infra/one"]
    assert again.rules_made == 0


def test_a_publication_has_a_certificate_once() -> None:
    many = [service(f"s{number}", "infra") for number in range(3)]
    policy = tls_policy("all", "infra", *(one.key.name for one in many), authorities=("m",))
    rules = [{"backendRefs": [ref(one.key.name) for one in many]}]
    one = route("r", "infra", rules=rules, parents=parents("edge", "core"))
    snapshot = snapshot_of(build_graph(resources(*many, policy, one), GraphSettings()))
    messages = list(publication(1, 0, difference(None, snapshot)))
    sent = {message.number: message.certificate for message in messages if isinstance(message, ClientCertificate)}
    assert sent == {1: snapshot.certificates["infra/one"], 2: snapshot.certificates["infra/two"]}
    rows = [message for message in messages if isinstance(message, UpsertBackend)]
    assert sorted(row.certificate for row in rows) == [1, 1, 1, 2, 2, 2]
    anchors = {1: CA.encode()}
    restored = {row.id: restored_backend(row, anchors, sent).backend for row in rows}
    assert {id_: one.tls.client_certificate for id_, one in restored.items() if one.tls} == {
        id_: one.tls.client_certificate for id_, one in snapshot.backends.items() if one.tls
    }
    with pytest.raises(ValueError, match="has a client certificate that was not sent"):
        restored_backend(rows[0], anchors, {})


def test_certificates_count_for_the_memory_of_a_route() -> None:
    sizes = []
    for names in (("bare", "edge"), ("edge", "core")):
        one = route("r", "infra", ref("s"), parents=parents(*names))
        memo = build_graph(resources(one), GraphSettings()).memo
        (unit,) = memo.units.values()
        sizes.append(unit.size)
    assert sizes[1] > sizes[0]
