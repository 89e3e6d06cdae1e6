"""ClusterTrustBundles as CA certificates of BackendTLSPolicies."""

from typing import Any

import pytest
from graph.test_policy_unit import CA, OTHER, SETTINGS, graph_of
from graph.world import make, removed, replaced, tls_policy

from fastroute.graph.build import build_graph
from fastroute.graph.node import Graph
from fastroute.graph.policy_unit import PolicyUnit
from fastroute.resources.core import ClusterTrustBundle
from fastroute.resources.meta import Key
from fastroute.settings import GraphSettings

REFS = "spec.validation.caCertificateRefs"


def bundle(name: str, text: str) -> ClusterTrustBundle:
    made: ClusterTrustBundle = make(ClusterTrustBundle, "", name, {"trustBundle": text})
    return made.trimmed()


def ref(name: str, **more: str) -> dict[str, str]:
    return {"group": "certificates.k8s.io", "kind": "ClusterTrustBundle", "name": name, **more}


def policy(*authorities: Any) -> Any:
    return tls_policy("p", "infra", "s", authorities=authorities)


def unit(graph: Graph) -> PolicyUnit:
    found: PolicyUnit = graph.memo.policies.units[Key("infra", "p")]
    return found


def anchors(graph: Graph) -> bytes:
    found = unit(graph).tls
    return found.trust_anchors if found else b""


def test_a_bundle_has_trust_anchors() -> None:
    found = unit(graph_of(bundle("b", CA), policy(ref("b"))))
    assert found.problems == ()
    assert found.tls is not None
    assert found.tls.trust_anchors == CA.encode()


def test_a_bundle_and_a_config_map_of_one_name_are_different() -> None:
    graph = graph_of(bundle("ca", OTHER), policy(ref("ca"), "ca"))
    assert anchors(graph) == (OTHER + CA).encode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has nothing in spec.trustBundle"),
        ("nonsense", "no readable PEM certificates in spec.trustBundle"),
        ("x" * 600_000, "has 600,000 characters in spec.trustBundle"),
        (None, "ClusterTrustBundle b does not exist."),
    ],
)
def test_a_bundle_without_certificates(text: str | None, words: str) -> None:
    found = unit(graph_of(*([] if text is None else [bundle("b", text)]), policy(ref("b"))))
    said = [(problem.condition, problem.reason) for problem in found.problems]
    assert said == [("ResolvedRefs", "InvalidCACertificateRef"), ("Accepted", "NoValidCACertificate")]
    assert words in found.problems[0].message
    assert found.tls is None


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (ref("b"), f"{REFS}[0] refers to a ClusterTrustBundle, but the API server has none. Use a ConfigMap"),
        (ref("b", group=""), 'refers to kind ClusterTrustBundle of group ""'),
        (ref("b", kind="ConfigMap"), 'refers to kind ConfigMap of group "certificates.k8s.io"'),
    ],
)
def test_a_kind_that_is_not_served(reference: dict[str, str], words: str) -> None:
    settings = GraphSettings(missing={"ClusterTrustBundle": "the API server has none"})
    found = unit(graph_of(policy(reference), settings=settings))
    assert (found.problems[0].reason, found.problems[0].field) == ("InvalidKind", f"{REFS}[0].kind")
    assert words in found.problems[0].message


def test_the_anchors_follow_the_bundle() -> None:
    before = graph_of(bundle("b", CA), bundle("unnamed", CA), policy(ref("b")))
    changed = build_graph(replaced(before.memo.resources, bundle("b", OTHER)), SETTINGS, before)
    assert anchors(changed) == OTHER.encode()
    same = build_graph(replaced(changed.memo.resources, bundle("unnamed", OTHER)), SETTINGS, changed)
    assert unit(same) is unit(changed)
    assert list(same.memo.policies.authorities) == [Key("", "b")]
    gone = build_graph(removed(same.memo.resources, ClusterTrustBundle, Key("", "b")), SETTINGS, same)
    assert unit(gone).tls is None
    assert gone.memo.policies.authorities == {}
    back = build_graph(replaced(gone.memo.resources, bundle("b", CA)), SETTINGS, gone)
    assert anchors(back) == CA.encode()
