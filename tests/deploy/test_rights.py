"""The ClusterRole grants exactly the rights for what the source reads and the writer writes."""

from collections.abc import Iterable
from typing import Any

import pytest
from deploy.rendering import Name, chart

from fastroute.apiserver.kinds import FOLLOWED, cluster_rights, namespace_rights, rights
from fastroute.resources.gateway import GROUP

pytestmark = pytest.mark.timeout(900)  # helm and kubectl are built first

Right = tuple[str, str, str]  # group, resource, verb

WRITING: frozenset[Right] = frozenset(
    [(row.group, f"{row.plural}/status", "update") for row in FOLLOWED if row.has_status]
    + [("events.k8s.io", "events", verb) for verb in ("create", "patch")]
)
INFRASTRUCTURE: frozenset[Right] = frozenset(("", "services", verb) for verb in ("get", "create", "update", "delete"))


def flat(rules: Iterable[dict[str, Any]]) -> frozenset[Right]:
    return frozenset(
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


def test_the_cluster_role_is_what_is_read_and_written():
    reading = {(group, plural, verb) for (group, plural), verbs in rights().items() for verb in verbs}
    role = chart()[Name("ClusterRole", None, "fastroute")]
    assert flat(role["rules"]) == reading | WRITING


def test_with_some_namespaces_there_is_a_role_in_each_of_them():
    """The ClusterRole is for what is in no namespace, and of Namespaces only for these."""
    objects = chart("--set=watchNamespaces={red,blue}")
    cluster = objects[Name("ClusterRole", None, "fastroute")]
    wide = frozenset((group, plural, verb) for (group, plural), verbs in cluster_rights().items() for verb in verbs)
    assert flat(cluster["rules"]) == wide | {(GROUP, "gatewayclasses/status", "update")}
    [names] = [rule["resourceNames"] for rule in cluster["rules"] if rule["resources"] == ["namespaces"]]
    assert names == ["red", "blue"]
    local = frozenset((group, plural, verb) for (group, plural), verbs in namespace_rights().items() for verb in verbs)
    for namespace in names:
        role = objects[Name("Role", namespace, "fastroute-objects")]
        assert flat(role["rules"]) == local | (WRITING - {(GROUP, "gatewayclasses/status", "update")})
        [subject] = objects[Name("RoleBinding", namespace, "fastroute-objects")]["subjects"]
        assert (subject["name"], subject["namespace"]) == ("fastroute", "fastroute")
    [service] = [
        rule for rule in objects[Name("Role", "fastroute", "fastroute")]["rules"] if rule["resources"] == ["services"]
    ]
    assert (service["resourceNames"], service["verbs"]) == (["fastroute"], ["list", "watch"])


def test_with_some_namespaces_services_are_written_only_there():
    plain = chart("--set=watchNamespaces={red}")
    objects = chart("--set=watchNamespaces={red}", "--set=infrastructure.enabled=true")
    role = Name("Role", "red", "fastroute-objects")
    assert objects.keys() == plain.keys()
    assert flat(objects[role]["rules"]) - flat(plain[role]["rules"]) == INFRASTRUCTURE


@pytest.mark.parametrize(("release", "name"), [("fastroute", "fastroute"), ("edge", "edge-fastroute")])
def test_an_installation_may_watch_its_own_namespace(release, name):
    """Two Roles are there (`chart` refuses two of the same name), and no further rule for its Service is needed."""
    objects = chart("--set=watchNamespaces={fastroute,red}", release=release)
    role = objects[Name("Role", "fastroute", name)]
    assert {resource for rule in role["rules"] for resource in rule["resources"]} == {"leases"}
    [local] = [one for one in objects if one.kind == "Role" and one.namespace == "fastroute" and one.name != name]
    assert objects[local]["rules"] == objects[local._replace(namespace="red")]["rules"]


def test_services_may_be_written_only_for_infrastructure():
    name = Name("ClusterRole", None, "fastroute-infrastructure")
    assert flat(chart("--set=infrastructure.enabled=true")[name]["rules"]) == INFRASTRUCTURE
    assert name not in chart()


def test_no_rule_is_for_everything():
    for name, one in chart("--set=infrastructure.enabled=true").items():
        assert "*" not in str(one.get("rules", "")), name
