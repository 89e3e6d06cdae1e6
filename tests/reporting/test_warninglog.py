"""The warnings, logged once, about Gateways that --gateway names and about policies that are not supported."""

import logging

import pytest
import trio
import trio.testing
from worlds import GATEWAY, world

from fastroute.graph.build import build_graph
from fastroute.reporting.problemlog import AT_MOST
from fastroute.reporting.warninglog import LOT, WarningLog
from fastroute.settings import GraphSettings

POLICY = """
apiVersion: example.com/v1
kind: RatePolicy
metadata: {name: slow, namespace: infra}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: web}
"""
THEIRS = GATEWAY.replace("gatewayClassName: fastroute", "gatewayClassName: nginx")
ABSENT = "--gateway names infra/web, which does not exist: it is not served"
FOREIGN = "--gateway names infra/web, whose class nginx does not belong to this controller: it is not served"
THERE = "Gateway infra/web, which --gateway names, is served now"
UNSERVED = (
    "world.yaml:2: RatePolicy infra/slow: spec.targetRef: Policies of kind RatePolicy (example.com) are not served: "
    "Gateway infra/web is served as if this one did not exist."
)
WARNING, INFO = logging.WARNING, logging.INFO


class Told:
    """The messages that one WarningLog logs for a sequence of worlds."""

    def __init__(self, caplog: pytest.LogCaptureFixture, *gateways: str) -> None:
        caplog.set_level(INFO, "fastroute")
        self._caplog = caplog
        self._settings = GraphSettings(gateways=frozenset(gateways))
        self._log = WarningLog(self._settings.gateways)

    def by(self, *manifests: str) -> list[tuple[int, str]]:
        resources = world(*manifests)
        self._caplog.clear()
        self._log.show(resources, build_graph(resources, self._settings))
        trio.run(self._search)
        return [(level, message) for _, level, message in self._caplog.record_tuples]

    async def _search(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._log.run)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()


def test_a_gateway_that_is_named_is_missed_once_and_found_once(caplog: pytest.LogCaptureFixture) -> None:
    told = Told(caplog, "infra/web")
    for manifests, expected in (
        ([], [(WARNING, ABSENT)]),
        ([], []),
        ([THEIRS], [(WARNING, FOREIGN)]),
        ([THEIRS], []),
        ([GATEWAY], [(INFO, THERE)]),
        ([GATEWAY], []),
        ([], [(WARNING, ABSENT)]),
    ):
        assert told.by(*manifests) == expected


def test_of_gateways_that_are_there_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert Told(caplog, "infra/web").by(GATEWAY) == []
    assert Told(caplog).by() == []
    assert [text.split()[2] for _, text in Told(caplog, "b/b", "a/b", "a/a").by()] == ["a/a,", "a/b,", "b/b,"]


def test_a_policy_that_is_not_served_is_told_once_and_when_it_is_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Told(caplog)
    for manifests, expected in (
        ([POLICY], []),
        ([POLICY, GATEWAY], [(WARNING, UNSERVED)]),
        ([POLICY, GATEWAY], []),
        ([GATEWAY], [(INFO, f"fixed: {UNSERVED}")]),
        ([POLICY, THEIRS], []),
    ):
        assert told.by(*manifests) == expected


def of_two_teams(count: int) -> list[str]:
    """Their Gateways, and policies: `count` of one team, one of the other."""
    policies = [POLICY.replace("name: slow", f"name: a{number}") for number in range(count)]
    other = [text.replace("namespace: infra", "namespace: z-team") for text in (GATEWAY, POLICY)]
    return [GATEWAY, other[0], "---".join([*policies, other[1]])]


async def test_thousands_of_warnings_are_searched_in_lots(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    async def counted() -> None:
        nonlocal steps
        steps += 1
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr("fastroute.reporting.warninglog.step_aside", counted)
    resources = world(*of_two_teams(500))
    log = WarningLog(())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        log.show(resources, build_graph(resources, GraphSettings()))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert steps == 501 // LOT
    assert len(caplog.messages) == AT_MOST + 1
    assert "RatePolicy z-team/slow" in caplog.text, "the namespaces take turns"


async def test_a_bug_in_the_search_ends_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastroute.reporting.warninglog.policies_not_served", None)
    resources = world(GATEWAY)
    log = WarningLog(())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        log.show(resources, build_graph(resources, GraphSettings()))
        await trio.testing.wait_all_tasks_blocked()
        assert "because of a bug in fastroute" in caplog.text
        nursery.cancel_scope.cancel()
