"""certificateRefs of the listeners of Gateways and ListenerSets, and their TLS options."""

from typing import Any

import msgspec
import pytest
from graph.secrets import chain, indented, key_pem, plain_secret, secret
from graph.world import gateway, grant, https, listener_set, world

from fastroute.graph.build import build_graph
from fastroute.graph.node import Graph, ListenerNode
from fastroute.resources.gateway import GROUP, AllowedListeners, ListenerNamespaces
from fastroute.resources.meta import Key, Resource
from fastroute.settings import GraphSettings
from fastroute.snapshot import ListenerTLS
from fastroute.status import build_statuses, everything_bound

GOOD, BAD = secret("good", "infra"), plain_secret("bad", "infra", {"tls.crt": b"x", "tls.key": b"y"})


def built(*objects: Resource) -> Graph:
    return build_graph(world(*objects), GraphSettings())


def listener_of(*objects: Resource) -> ListenerNode:
    (node,) = built(*objects).gateways[Key("infra", "gw")].listeners
    return node


def told(node: ListenerNode) -> list[tuple[str, str, str | None]]:
    return [(problem.condition, problem.reason, problem.field) for problem in node.problems]


def secret_grant(kind: str, to: str | None = None, from_namespace: str = "infra") -> Any:
    return grant("g", "certs", from_namespace, to, from_kind=kind, to_kind="Secret")


def test_a_certificate_of_its_own_namespace() -> None:
    graph = built(gateway("gw", "infra", https("secure", "good")), GOOD)
    (node,) = graph.gateways[Key("infra", "gw")].listeners
    assert node.serves
    assert node.problems == ()
    assert node.tls == ListenerTLS(certificates=("infra/good",))
    assert node.supported_kinds == ((GROUP, "HTTPRoute"), (GROUP, "GRPCRoute"))
    assert list(graph.certificates) == ["infra/good"]


@pytest.mark.parametrize(
    ("ref", "reason", "field"),
    [
        ({"name": "none"}, "InvalidCertificateRef", "[0].name"),
        ({"name": "bad"}, "InvalidCertificateRef", "[0]"),
        ({"name": "good", "group": "x.io"}, "InvalidCertificateRef", "[0].kind"),
        ({"name": "good", "kind": "ConfigMap"}, "InvalidCertificateRef", "[0].kind"),
        ({"name": "good", "namespace": "certs"}, "RefNotPermitted", "[0]"),
        ({"name": "none", "namespace": "certs"}, "RefNotPermitted", "[0]"),
        ({"name": "good", "namespace": "certs", "kind": "ConfigMap"}, "InvalidCertificateRef", "[0].kind"),
    ],
)
def test_references_that_are_not_served(ref: dict[str, str], reason: str, field: str) -> None:
    written = {**https("secure"), "tls": {"certificateRefs": [ref]}}
    node = listener_of(gateway("gw", "infra", written), GOOD, BAD, secret("good", "certs"))
    assert told(node) == [("ResolvedRefs", reason, f"spec.listeners[0].tls.certificateRefs{field}")]
    assert not node.serves
    assert node.tls is None
    assert node.supported_kinds == ((GROUP, "HTTPRoute"), (GROUP, "GRPCRoute"))


def test_what_openssl_refuses_is_said_and_not_served() -> None:
    parts = {"tls.crt": indented(chain("a.example.com")), "tls.key": key_pem()}
    node = listener_of(gateway("gw", "infra", https("secure", "s")), plain_secret("s", "infra", parts))
    assert told(node) == [("ResolvedRefs", "InvalidCertificateRef", "spec.listeners[0].tls.certificateRefs[0]")]
    assert node.problems[0].message.startswith(
        "Secret infra/s has content that OpenSSL rejects (certificate 1 of the chain"
    )
    assert not node.serves


def test_whether_a_refused_secret_exists_is_not_said() -> None:
    asked = gateway("gw", "infra", https("secure", "certs/s"))
    assert listener_of(asked).problems == listener_of(asked, secret("s", "certs")).problems
    assert "certs/s" not in built(asked, secret("s", "certs")).certificates


def test_a_refusal_says_which_grant_would_do() -> None:
    (problem,) = listener_of(gateway("gw", "infra", https("secure", "certs/s"))).problems
    assert problem.fix is not None
    asked = msgspec.yaml.decode(problem.fix.encode())
    assert asked["spec"] == {
        "from": [{"group": GROUP, "kind": "Gateway", "namespace": "infra"}],
        "to": [{"group": "", "kind": "Secret", "name": "s"}],
    }
    assert asked["metadata"]["namespace"] == "certs"


@pytest.mark.parametrize("to", [None, "s"])
def test_a_grant_from_kind_gateway(to: str | None) -> None:
    node = listener_of(gateway("gw", "infra", https("a", "certs/s")), secret("s", "certs"), secret_grant("Gateway", to))
    assert node.serves


@pytest.mark.parametrize(
    "other",
    [
        secret_grant("ListenerSet"),
        secret_grant("HTTPRoute"),
        secret_grant("Gateway", "other"),
        secret_grant("Gateway", from_namespace="red"),
        grant("g", "certs", "infra", from_kind="Gateway"),
        grant("g", "infra", "infra", from_kind="Gateway", to_kind="Secret"),
    ],
)
def test_grants_that_do_not_do(other: Any) -> None:
    node = listener_of(gateway("gw", "infra", https("a", "certs/s")), secret("s", "certs"), other)
    assert [problem.reason for problem in node.problems] == ["RefNotPermitted"]


@pytest.mark.parametrize(("kind", "own", "theirs"), [("Gateway", True, False), ("ListenerSet", False, True)])
def test_grants_of_gateways_and_their_sets_are_not_shared(kind: str, own: bool, theirs: bool) -> None:
    allowed = AllowedListeners(namespaces=ListenerNamespaces(from_="Same"))
    edge = gateway("gw", "infra", https("a", "certs/s", hostname="a.example.com"))
    edge = msgspec.structs.replace(edge, spec=msgspec.structs.replace(edge.spec, allowed_listeners=allowed))
    more = listener_set("more", "infra", https("b", "certs/s", hostname="b.example.com"))
    graph = built(edge, more, secret("s", "certs"), secret_grant(kind))
    assert graph.gateways[Key("infra", "gw")].listeners[0].serves is own
    assert graph.listener_sets[Key("infra", "more")].listeners[0].serves is theirs


def test_of_several_certificates_the_good_ones_are_served() -> None:
    node = listener_of(gateway("gw", "infra", https("a", "bad", "good", "none", "good")), GOOD, BAD)
    assert node.serves
    assert node.tls == ListenerTLS(certificates=("infra/good",))
    assert [problem.field for problem in node.problems] == [
        "spec.listeners[0].tls.certificateRefs[0]",
        "spec.listeners[0].tls.certificateRefs[2].name",
    ]


@pytest.mark.parametrize("tls", [None, {"options": {"fastroute.dev/min-version": "1.3"}}])
def test_https_without_certificates_is_not_served(tls: Any) -> None:
    node = listener_of(gateway("gw", "infra", {**https("a"), "tls": tls}))
    field = "spec.listeners[0].tls.certificateRefs"
    assert told(node) == [("ResolvedRefs", "InvalidCertificateRef", field)]
    assert not node.serves


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {}),
        ({"min-version": "1.3"}, {"min_version": "1.3"}),
        ({"min-version": "1.2", "max-version": "1.2"}, {"max_version": "1.2"}),
        (
            {"ciphers": "ECDHE-RSA-AES256-GCM-SHA384, ECDHE-ECDSA-AES256-GCM-SHA384"},
            {"ciphers": "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384"},
        ),
        (
            {"max-version": "1.2", "ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384"},
            {"max_version": "1.2", "ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384"},
        ),
        (
            {"max-version": "1.2", "ciphers": "TLS_AES_128_GCM_SHA256"},
            {"max_version": "1.2", "ciphers": "TLS_AES_128_GCM_SHA256"},
        ),
        ({"ciphers": "ECDHE-RSA-AES256-GCM-SHA384"}, {"ciphers": "ECDHE-RSA-AES256-GCM-SHA384"}),
    ],
)
def test_options(options: dict[str, str], expected: dict[str, str]) -> None:
    ours = {f"fastroute.dev/{name}": value for name, value in options.items()}
    node = listener_of(gateway("gw", "infra", https("a", "good", options={**ours, "example.com/x": "y"})), GOOD)
    assert node.problems == ()
    assert node.tls == ListenerTLS(certificates=("infra/good",), **expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fastroute.dev/min-version": "1.1"}, "must be one of 1.2, 1.3"),
        ({"fastroute.dev/max-version": "TLSv1.2"}, "must be one of 1.2, 1.3"),
        ({"fastroute.dev/min-version": "1.3", "fastroute.dev/max-version": "1.2"}, "above fastroute.dev/max-version"),
        ({"fastroute.dev/ciphers": "RC4-MD5"}, "RC4-MD5 is not served"),
        ({"fastroute.dev/ciphers": " "}, "must name at least one cipher"),
        (
            {"fastroute.dev/max-version": "1.2", "fastroute.dev/ciphers": "ECDHE-RSA-AES128-GCM-SHA256"},
            "no client can connect: the certificates have ECDSA keys",
        ),
        ({"fastroute.dev/cipher": "x"}, "there is no such option"),
        ({"min-version": "1.3"}, "a key needs a domain"),
    ],
)
def test_options_that_are_not_served(options: dict[str, str], words: str) -> None:
    node = listener_of(gateway("gw", "infra", https("a", "good", options=options)), GOOD)
    (problem,) = node.problems
    assert (problem.condition, problem.reason) == ("Accepted", "UnsupportedValue")
    assert words in problem.message
    assert problem.field is not None
    assert problem.field.startswith("spec.listeners[0].tls.options[")
    assert not node.serves


@pytest.mark.parametrize(
    ("hostnames", "overlapping"),
    [
        (["a.example.com", "b.example.com"], []),
        (["a.example.com", "*.example.com"], [0, 1]),
        (["a.b.example.com", "*.com", "x.org"], [0, 1]),
        (["example.com", "*.example.com"], []),
        (["*.b.example.com", "*.example.com"], [0, 1]),
        (["a.org", None], [0, 1]),
    ],
)
def test_hostnames_that_overlap(hostnames: list[str | None], overlapping: list[int]) -> None:
    written = [https(f"l{n}", "good", hostname=name) for n, name in enumerate(hostnames)]
    graph = built(gateway("gw", "infra", *written, https("other", "good", port=8443)), GOOD)
    nodes = graph.gateways[Key("infra", "gw")].listeners
    assert [n for n, node in enumerate(nodes) if node.overlap] == overlapping
    status = build_statuses(graph, everything_bound(graph)).patches["Gateway", Key("infra", "gw")].status
    for number, entry in enumerate(status["listeners"]):
        found = {c["type"]: (c["status"], c["reason"]) for c in entry["conditions"]}
        said = ("True", "OverlappingHostnames") if number in overlapping else None
        assert found.get("OverlappingTLSConfig") == said
