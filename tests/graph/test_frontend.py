"""How Gateways verify the certificates of clients: which listeners have which CA certificates, and why others are not
served."""

from collections.abc import Mapping, Sequence
from typing import Any
from unittest import mock

import pytest
from graph.secrets import chain, secret
from graph.test_increments import compare_steps
from graph.world import config_map, gateway, grant, https, listener, listener_set, make, removed, replaced, world
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute import difference
from fastroute.graph import frontend, secured
from fastroute.graph.authorities import memory_of
from fastroute.graph.build import build_graph
from fastroute.graph.frontend import Frontend
from fastroute.graph.node import Graph, ListenerNode
from fastroute.resources.core import ClusterTrustBundle, ConfigMap
from fastroute.resources.gateway import Gateway
from fastroute.resources.meta import Key
from fastroute.settings import GraphSettings
from fastroute.snapshot import ClientValidation

SETTINGS = GraphSettings()
CA, OTHER = (chain("ca", number=number).decode() for number in (0, 1))
ONE = max(memory_of([pem.encode()]) for pem in (CA, OTHER))
ASK = "Gateway infra/gw: CA certificates for clients that it names cannot be used. Ask its owner."
END = "-----END CERTIFICATE-----\n"
ALL = {"allowedListeners": {"namespaces": {"from": "All"}}}


def validation(*names: str, mode: str = "AllowValidOnly") -> Any:
    """caCertificateRefs "name" or "namespace/name"."""
    refs = [dict(zip(("name", "namespace"), reversed(name.split("/")), strict=False)) for name in names]
    return {
        "validation": {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", **ref} for ref in refs], "mode": mode}
    }


def verifying(
    name: str, *listeners: Any, ports: Any = None, default: Any = None, home: str = "infra", day: int = 1
) -> Gateway:
    entries = [{"port": port, "tls": tls} for port, tls in (ports or {}).items()]
    spec = {**ALL, "tls": {"frontend": {"default": default or {}, "perPort": entries}}}
    return gateway(name, home, *listeners, spec=spec, meta={"creationTimestamp": f"2026-01-0{day}T00:00:00Z"})


def listener_of(graph: Graph, name: str, gateway: str = "infra/gw") -> ListenerNode:
    home, _, own = gateway.partition("/")
    return next(one for one in graph.gateways[Key(home, own)].listeners if one.source.name == name)


def reasons(node: ListenerNode) -> set[str]:
    return {problem.reason for problem in node.problems}


def clients_of(node: ListenerNode) -> ClientValidation | None:
    return node.tls.clients if node.tls else None


THREE = (https("one", "c", port=443), https("two", "c", port=8443), listener("plain", 80))


def test_a_port_replaces_the_default_as_a_whole() -> None:
    made = verifying("gw", *THREE, default=validation("m"), ports={8443: validation("n", mode="AllowInsecureFallback")})
    graph = build_graph(
        world(made, secret("c", "infra"), config_map("m", "infra", CA), config_map("n", "infra", OTHER)), SETTINGS
    )
    one, two = (clients_of(listener_of(graph, name)) for name in ("one", "two"))
    assert one is not None
    assert two is not None
    assert (one.optional, two.optional) == (False, True)
    assert one.trust_anchors != two.trust_anchors
    assert listener_of(graph, "plain").tls is None


def test_a_port_can_be_left_out() -> None:
    made = verifying("gw", *THREE, default=validation("m"), ports={8443: {}})
    graph = build_graph(world(made, secret("c", "infra"), config_map("m", "infra", CA)), SETTINGS)
    assert clients_of(listener_of(graph, "one")) is not None
    assert clients_of(listener_of(graph, "two")) is None
    assert listener_of(graph, "two").serves


@pytest.mark.parametrize(
    ("names", "objects", "expected"),
    [
        (["m"], [], {"InvalidCACertificateRef", "NoValidCACertificate"}),
        (["m"], [config_map("m", "infra")], {"InvalidCACertificateRef", "NoValidCACertificate"}),
        (["m"], [config_map("m", "infra", "no PEM")], {"InvalidCACertificateRef", "NoValidCACertificate"}),
        (["cas/m"], [config_map("m", "cas", CA)], {"RefNotPermitted", "NoValidCACertificate"}),
        (["cas/m"], [], {"RefNotPermitted", "NoValidCACertificate"}),  # the same: nobody learns what exists there
        (
            ["cas/m"],
            [config_map("m", "cas", CA), grant("g", "cas", "infra", from_kind="ListenerSet", to_kind="ConfigMap")],
            {"RefNotPermitted", "NoValidCACertificate"},
        ),
        (
            ["cas/m"],
            [config_map("m", "cas", CA), grant("g", "cas", "infra", from_kind="Gateway", to_kind="ConfigMap")],
            set(),
        ),
        (["none", "m"], [config_map("m", "infra", CA)], {"InvalidCACertificateRef"}),
        (["m"], [config_map("m", "infra", CA)], set()),
    ],
)
def test_reasons(names: list[str], objects: Sequence[Any], expected: set[str]) -> None:
    made = verifying("gw", *THREE, ports={443: validation(*names)})
    graph = build_graph(world(made, secret("c", "infra"), *objects), SETTINGS)
    node = listener_of(graph, "one")
    assert reasons(node) == expected
    served = "NoValidCACertificate" not in expected
    assert (clients_of(node) is not None) == served
    assert node.serves == served
    assert all(listener_of(graph, name).serves for name in ("two", "plain"))


def test_too_many_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontend, "ANCHORS_MOST", 1)
    made = verifying("gw", *THREE, default=validation("m", "n"))
    maps = (config_map("m", "infra", CA), config_map("n", "infra", OTHER))
    graph = build_graph(world(made, secret("c", "infra"), *maps), SETTINGS)
    (problem,) = listener_of(graph, "one").problems
    assert problem.reason == "NoValidCACertificate"
    assert problem.message.endswith("HTTPS listeners with this validation are not served.")
    assert not listener_of(graph, "one").serves


def test_the_oldest_gateways_that_fit_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal CA certificates count once. Another namespace has its own room."""
    monkeypatch.setattr(frontend, "MOST", ONE)
    maps = [config_map("m", home, CA) for home in ("infra", "red")] + [config_map("n", "infra", OTHER)]
    gateways = [
        verifying("old", https("one", "c"), default=validation("m"), day=1),
        verifying("young", https("one", "c", port=444), default=validation("n"), day=2),
        verifying("equal", https("one", "c", port=445), default=validation("m"), day=3),
        verifying("other", https("one", "c", port=446), default=validation("m"), home="red", day=4),
    ]
    resources = world(*gateways, *maps, secret("c", "infra"), secret("c", "red"))
    graph = build_graph(resources, SETTINGS)

    def served(graph: Graph) -> list[str]:
        return [str(key) for key, node in graph.gateways.items() if node.listeners[0].serves]

    assert sorted(served(graph)) == ["infra/equal", "infra/old", "red/other"]
    assert reasons(listener_of(graph, "one", "infra/young")) == {"NoValidCACertificate"}
    without = removed(resources, Gateway, Key("infra", "old"))
    without = removed(without, Gateway, Key("infra", "equal"))
    assert sorted(served(build_graph(without, SETTINGS, graph))) == ["infra/young", "red/other"]


def test_the_room_for_a_certificate_depends_on_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL makes an object of each name."""
    monkeypatch.setattr(frontend, "MOST", 10 * ONE)
    large = chain("ca", *(f"{number}.org" for number in range(1000))).decode()
    gateways = [
        verifying(f"gw{day}", https("one", "c", port=443 + day), default=validation(name), day=day)
        for day, name in ((1, "large"), (2, "small"))
    ]
    maps = (config_map("large", "infra", large), config_map("small", "infra", CA))
    graph = build_graph(world(*gateways, *maps, secret("c", "infra")), SETTINGS)
    assert reasons(listener_of(graph, "one", "infra/gw1")) == {"NoValidCACertificate"}
    assert listener_of(graph, "one", "infra/gw2").serves


def held(*frontends: Frontend) -> set[int]:
    """The ids of the CA certificates in them."""
    validations = [one for each in frontends for one in each.all]
    joined = [one.clients.trust_anchors for one in validations if one.clients]
    return {id(pem) for pem in (*joined, *(pem for one in validations for pem in one.anchors)) if pem}


def test_what_does_not_fit_takes_no_memory_and_what_fits_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Gateway can combine ConfigMaps for each port, in any order."""
    monkeypatch.setattr(frontend, "MOST", 4 * ONE)
    maps = [config_map(f"m{number}", "infra", chain("ca", number=number).decode()) for number in range(10)]
    orders = {444 + number: validation(f"m{number}", "m9", "m8") for number in range(8)}
    gateways = [
        verifying("old", *THREE, default=validation("m0", "m1"), ports={8443: validation("m1", "m0", "m1")}),
        *(verifying(f"young{day}", *THREE, default=validation("m9", "m8"), ports=orders, day=day) for day in (2, 3)),
    ]
    resources = world(*gateways, *maps, secret("c", "infra"))
    before = build_graph(resources, SETTINGS)
    assert [gw for gw in before.gateways if listener_of(before, "one", str(gw)).serves] == [Key("infra", "old")]
    units = [unit.frontend for unit in before.memo.secured.units.values()]
    assert len(held(*units)) == len(maps)
    assert len(held(*before.memo.secured.frontends.values())) == 2 + 1
    again = verifying("old", *THREE, listener("more", 81), default=validation("m1", "m0"))
    after = build_graph(replaced(resources, again), SETTINGS, before)
    old, new = (graph.memo.secured.frontends[Key("infra", "old")] for graph in (before, after))
    assert held(new) == held(old)


def test_a_listener_set_is_verified_as_its_gateway_says_and_learns_nothing_of_others() -> None:
    made = verifying("gw", listener("plain"), default=validation("cas/m"))
    team = listener_set("ls", "red", https("one", "c"))
    allowed = grant("g", "cas", "infra", from_kind="Gateway", to_kind="ConfigMap")
    resources = world(made, team, secret("c", "red"), config_map("m", "cas", CA), allowed)
    graph = build_graph(resources, SETTINGS)
    (node,) = graph.listener_sets[Key("red", "ls")].listeners
    assert clients_of(node) is not None
    graph = build_graph(removed(resources, ConfigMap, Key("cas", "m")), SETTINGS, graph)
    (node,) = graph.listener_sets[Key("red", "ls")].listeners
    assert reasons(node) == {"InvalidCACertificateRef", "NoValidCACertificate"}
    assert {problem.message for problem in node.problems} == {ASK}


@pytest.mark.parametrize(("home", "told"), [("red", False), ("infra", True)])
@pytest.mark.parametrize(
    ("limits", "words"),
    [({"MOST": 1}, "older Gateways of this namespace"), ({"ANCHORS_MOST": 1}, "2 CA certificates (maximum 1)")],
)
def test_a_listener_set_of_another_namespace_learns_no_counts(
    monkeypatch: pytest.MonkeyPatch, limits: Mapping[str, int], words: str, home: str, *, told: bool
) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(frontend, name, value)
    made = verifying("gw", listener("plain"), default=validation("m", "n"))
    maps = (config_map("m", "infra", CA), config_map("n", "infra", OTHER))
    graph = build_graph(world(made, listener_set("ls", home, https("one", "c")), secret("c", home), *maps), SETTINGS)
    (node,) = graph.listener_sets[Key(home, "ls")].listeners
    (problem,) = node.problems
    assert problem.message.startswith("Gateway infra/gw: ")
    assert (words in problem.message) == told
    assert (problem.message == ASK) == (not told)


def test_a_changed_authority_makes_only_the_listeners_that_have_it() -> None:
    gateways = [verifying(f"gw{i}", https("one", "c", port=443 + i), default=validation(f"m{i}")) for i in range(2)]
    resources = world(*gateways, secret("c", "infra"), *(config_map(f"m{i}", "infra", CA) for i in range(2)))
    before = build_graph(resources, SETTINGS)
    after = build_graph(replaced(resources, config_map("m1", "infra", OTHER)), SETTINGS, before)
    first, second = Key("infra", "gw0"), Key("infra", "gw1")
    assert after.gateways[first] is before.gateways[first]
    assert after.gateways[second] is not before.gateways[second]
    assert build_graph(replaced(resources, config_map("m9", "infra", CA)), SETTINGS, before).gateways is before.gateways


class Counted(dict[Any, Any]):
    """How many items were looked at, of all such mappings."""

    looks = 0

    def items(self) -> Any:
        for item in super().items():
            Counted.looks += 1
            yield item


def test_the_room_of_many_namespaces_is_judged_in_one_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    homes = [f"ns{number}" for number in range(20)]
    resources = world(*(verifying("gw", *THREE, default=validation("m"), home=home) for home in homes))
    before = build_graph(resources, SETTINGS)
    monkeypatch.setattr(secured, "replaced", lambda old, new: Counted(difference.replaced(old, new)))
    monkeypatch.setattr(Counted, "looks", 0)
    changed = world(*(verifying("gw", *THREE, default=validation("n"), home=home) for home in homes))
    build_graph(changed, SETTINGS, before)
    assert Counted.looks <= 3 * len(homes)


def test_only_the_namespaces_of_verifying_gateways_that_changed_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    still = verifying("still", *THREE, default=validation("m"), home="blue")
    before = build_graph(
        world(still, gateway("other", "blue"), verifying("gw", *THREE, default=validation("m"))), SETTINGS
    )
    judged = mock.Mock(side_effect=frontend.fitted)
    monkeypatch.setattr(secured, "fitted", judged)
    edited = [gateway("other", "blue", listener("plain")), verifying("gw", *THREE, default=validation("n"))]
    build_graph(world(still, *edited), SETTINGS, before)
    assert [list(call.args[0]) for call in judged.call_args_list] == [[Key("infra", "gw")]]


# --- sequences of edits

NAMES = ("m0", "m1", "red/m0", "red/m1")


@st.composite
def edits(draw: Any) -> Any:
    """An object to apply, or the (type, key) of one to remove."""
    home, number = draw(st.sampled_from(("infra", "red"))), draw(st.integers(0, 1))
    modes = st.sampled_from(("AllowValidOnly", "AllowInsecureFallback"))

    def tls() -> Any:
        names = draw(st.lists(st.sampled_from(NAMES), max_size=2))
        return validation(*names, mode=draw(modes)) if names else {}

    match draw(st.integers(0, 4)):
        case 0 | 1:
            ports = {port: tls() for port in draw(st.lists(st.sampled_from((443, 8443)), unique=True))}
            listeners = (https("one", "c", port=443), https("two", "c", port=8443))
            day = draw(st.integers(1, 3))
            thing: Any = verifying(f"gw{number}", *listeners, ports=ports, default=tls(), day=day)
        case 2:
            content = draw(st.sampled_from((None, "", CA, f"{CA}{CA}", OTHER)))
            thing = config_map(f"m{number}", home, content)
        case 3:
            thing = listener_set("ls", home, https("set", "c", port=443, hostname="b.org"), parent=f"gw{number}")
        case _:
            thing = grant(
                f"g{number}",
                "red",
                "infra",
                draw(st.sampled_from((None, "m0"))),
                from_kind="Gateway",
                to_kind="ConfigMap",
            )
    return (type(thing), thing.key) if draw(st.integers(0, 3)) == 0 else thing


@pytest.mark.parametrize("room", [frontend.MOST, 2 * ONE], ids=["maximum", "two certificates"])
@given(steps=st.lists(st.lists(edits(), min_size=1, max_size=3), max_size=12))
@settings(max_examples=60, deadline=None)
def test_increments_equal_a_rebuild_from_nothing(room: int, steps: list[list[Any]]) -> None:
    shown = [secret("c", home) for home in ("infra", "red")]
    with mock.patch.object(frontend, "MOST", room):
        compare_steps(SETTINGS, [shown, *steps])


# --- ClusterTrustBundles


def bundle_ref(name: str, **more: str) -> dict[str, str]:
    return {"group": "certificates.k8s.io", "kind": "ClusterTrustBundle", "name": name, **more}


def bundle(name: str, text: str) -> ClusterTrustBundle:
    made: ClusterTrustBundle = make(ClusterTrustBundle, "", name, {"trustBundle": text})
    return made.trimmed()


def asking(*refs: dict[str, str]) -> Gateway:
    return verifying("gw", *THREE, ports={443: {"validation": {"caCertificateRefs": list(refs)}}})


def test_a_bundle_has_ca_certificates_and_needs_no_grant() -> None:
    """Its reference has no namespace; one that is there has no effect."""
    for reference in (bundle_ref("b"), bundle_ref("b", namespace="cas")):
        graph = build_graph(world(asking(reference), secret("c", "infra"), bundle("b", CA)), SETTINGS)
        one = listener_of(graph, "one")
        clients = clients_of(one)
        assert clients is not None
        assert (clients.trust_anchors, one.problems) == (CA.encode(), ())


def test_the_ca_certificates_follow_the_bundle() -> None:
    made = asking(bundle_ref("b"), {"group": "", "kind": "ConfigMap", "name": "b"})
    resources = world(
        made, secret("c", "infra"), bundle("b", CA), bundle("unnamed", CA), config_map("b", "infra", OTHER)
    )
    graph = build_graph(resources, SETTINGS)

    def anchors() -> set[str]:
        clients = clients_of(listener_of(graph, "one"))
        return {pem + END for pem in clients.trust_anchors.decode().split(END) if pem} if clients else set()

    assert anchors() == {CA, OTHER}
    assert set(graph.memo.secured.authorities) == {Key("", "b"), Key("infra", "b")}
    graph = build_graph(removed(graph.memo.resources, ClusterTrustBundle, Key("", "b")), SETTINGS, graph)
    assert anchors() == {OTHER}
    assert reasons(listener_of(graph, "one")) == {"InvalidCACertificateRef"}
    assert set(graph.memo.secured.authorities) == {Key("infra", "b")}
    graph = build_graph(replaced(graph.memo.resources, bundle("b", OTHER)), SETTINGS, graph)
    assert anchors() == {OTHER}
    assert listener_of(graph, "one").problems == ()


@pytest.mark.parametrize(
    ("reference", "why", "reason", "words"),
    [
        (bundle_ref("b"), "", "InvalidCACertificateRef", "ClusterTrustBundle b does not exist."),
        (bundle_ref("bad"), "", "InvalidCACertificateRef", "ClusterTrustBundle bad has nothing in spec.trustBundle."),
        (
            bundle_ref("b", group=""),
            "",
            "InvalidCACertificateKind",
            "and kind ClusterTrustBundle of group certificates",
        ),
        (bundle_ref("b"), "the API server has none", "InvalidCACertificateKind", "but the API server has none. Use a"),
    ],
)
def test_bundles_that_cannot_be_used(reference: dict[str, str], why: str, reason: str, words: str) -> None:
    settings = GraphSettings(missing={"ClusterTrustBundle": why} if why else {})
    graph = build_graph(world(asking(reference), secret("c", "infra"), bundle("bad", "")), settings)
    one = listener_of(graph, "one")
    assert reasons(one) == {reason, "NoValidCACertificate"}
    assert not one.serves
    assert any(words in problem.message for problem in one.problems)
