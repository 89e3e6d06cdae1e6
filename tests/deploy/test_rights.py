"""The ClusterRole grants exactly the rights for what the source reads and the writer writes."""

from collections.abc import Iterable
from typing import Any

import pytest
from deploy.rendering import Name, chart

from fastroute.apiserver.kinds import FOLLOWED, rights
from fastroute.resources.gateway import GROUP

pytestmark = pytest.mark.timeout(900)  # helm and kubectl are built first

Right = tuple[str, str, str]  # group, resource, verb

WITH_STATUS = tuple(row.plural for row in FOLLOWED if row.has_status)
WRITING: frozenset[Right] = frozenset(
    [(GROUP, f"{plural}/status", "update") for plural in WITH_STATUS]
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


def test_services_may_be_written_only_for_infrastructure():
    name = Name("ClusterRole", None, "fastroute-infrastructure")
    assert flat(chart("--set=infrastructure.enabled=true")[name]["rules"]) == INFRASTRUCTURE
    assert name not in chart()


def test_no_rule_is_for_everything():
    for name, one in chart("--set=infrastructure.enabled=true").items():
        assert "*" not in str(one.get("rules", "")), name
