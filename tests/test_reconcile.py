"""The reconcile loop: what the data plane, the statuses and the log get after a change or a burst of changes."""

import logging

import msgspec
import pytest
import trio
import trio.testing
from reconciling import running
from worlds import APPLES, BANANAS, FRUITS, GATEWAY, grant, route, service

from fastroute.publication import EndpointUpdate
from fastroute.resources.core import EndpointSlice
from fastroute.resources.httproute import HTTPRoute
from fastroute.resources.meta import Key
from fastroute.resources.policy import ReferenceGrant
from fastroute.resources.problem import ManifestProblem
from fastroute.settings import GraphSettings
from fastroute.snapshot import Bound, Failed, Outcome

TO_APPLES, TO_BANANAS = grant("apples", "infra", "apple-echo"), grant("bananas", "infra", "banana-echo")


ROUTE = ("HTTPRoute", Key("infra", "fruits"))


async def test_what_was_there_before_is_served_first() -> None:
    async with running(GATEWAY, FRUITS, APPLES, BANANAS, TO_APPLES, TO_BANANAS) as one:
        assert one.shares() == [None, None]
        assert one.condition("Gateway", Key("infra", "web"), "Programmed") == ("True", "Programmed")
        assert one.condition(*ROUTE, "ResolvedRefs") == ("True", "ResolvedRefs")


async def test_a_grant_that_goes_and_comes_back() -> None:
    async with running(GATEWAY, FRUITS, APPLES, BANANAS, TO_APPLES, TO_BANANAS) as one:
        one.source.take(ReferenceGrant, "bananas", "from-infra-banana-echo")
        await one.settle(2)
        assert one.shares() == [500, None]
        assert one.condition(*ROUTE, "ResolvedRefs") == ("False", "RefNotPermitted")
        assert one.value("refused_references", route="infra/fruits", route_kind="HTTPRoute") == 1
        one.source.put(TO_BANANAS)
        await one.settle(3)
        assert one.shares() == [None, None]
        assert one.condition(*ROUTE, "ResolvedRefs") == ("True", "ResolvedRefs")
        assert one.value("refused_references", route="infra/fruits", route_kind="HTTPRoute") is None
        assert one.value("reference_grant_changes_total") == 2  # without the two at the start
        assert one.value("propagation_seconds_count") == 2
        assert one.value("endpoint_lag_seconds_count") == 2  # bananas is not a backend while the reference is refused


async def test_a_change_of_a_grant_is_logged_with_what_it_permits_and_refuses(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fastroute.reporting.grantlog")

    def said() -> list[tuple[str, str]]:
        records = [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "fastroute.reporting.grantlog"]
        caplog.clear()
        return records

    name = "ReferenceGrant bananas/from-infra-banana-echo"
    reference = "HTTPRoute infra/fruits to Service bananas/banana-echo"
    async with running(GATEWAY, FRUITS, APPLES, BANANAS, TO_APPLES, TO_BANANAS) as one:
        assert said() == []  # nothing has changed yet
        one.source.take(ReferenceGrant, "bananas", "from-infra-banana-echo")
        await one.settle(2)
        assert said() == [("WARNING", f"{name}: It was deleted. Refused now: {reference}.")]
        one.source.put(TO_BANANAS)
        await one.settle(3)
        assert said() == [("INFO", f"{name}: It was created. Permitted now: {reference}.")]
        one.source.put(TO_BANANAS.replace("HTTPRoute", "GRPCRoute", 1), grant("apples", "shop", "apple-echo"))
        await one.settle(4)
        other = "ReferenceGrant apples/from-shop-apple-echo"
        assert said() == [
            ("INFO", f"{other}: It was created. No reference of a known object is affected."),
            ("WARNING", f"{name}: It was changed. Refused now: {reference}."),
        ]
        assert one.value("reference_grant_changes_total") == 4


async def test_endpoints_alone_travel_alone() -> None:
    async with running(GATEWAY, FRUITS, APPLES, BANANAS, TO_APPLES, TO_BANANAS) as one:
        one.source.put(service("apples/apple-echo", 18009))
        await one.settle(2)
        [message] = one.workers.messages[-1]
        assert isinstance(message, EndpointUpdate)
        assert list(message.endpoints) == ["apples/apple-echo:80"]
        assert one.value("endpoint_lag_seconds_count") == 1


async def test_a_burst_is_one_pass() -> None:
    async with running(GATEWAY, FRUITS, APPLES) as one:
        one.workers.gate = trio.Event()
        one.source.put(TO_APPLES)
        await one.settle(2)
        for port in range(18010, 18020):
            one.source.put(service("apples/apple-echo", port))
        one.source.take(EndpointSlice, "apples", "apple-echo-18001")
        await one.settle(2)
        one.workers.gate.set()
        await one.settle(3)
        [endpoints] = one.workers.serving.endpoints.values()
        assert [endpoint.port for endpoint in endpoints] == list(range(18010, 18020))


async def test_nothing_is_programmed_before_it_is_acknowledged() -> None:
    async with running(GATEWAY) as one:
        one.workers.gate = trio.Event()
        one.source.put(GATEWAY.replace("web", "api").replace("8080", "8081"))
        await one.settle(2)
        assert ("Gateway", Key("infra", "api")) not in one.log.patches
        one.workers.gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert one.condition("Gateway", Key("infra", "api"), "Programmed") == ("True", "Programmed")


async def test_a_late_worker_holds_programmed_back_until_it_has_caught_up() -> None:
    async with running(GATEWAY) as one:
        one.workers.late = True
        one.source.put(GATEWAY.replace("web", "api").replace("8080", "8081"), FRUITS)
        await one.settle(2)
        assert one.condition("Gateway", Key("infra", "web"), "Programmed") == ("True", "Programmed")
        assert one.condition("Gateway", Key("infra", "api"), "Programmed") == ("False", "Pending")
        assert one.condition(*ROUTE, "ResolvedRefs")[0] == "False"
        one.workers.report(msgspec.structs.replace(one.workers.outcome, version=2))
        await one.settle(2)
        assert one.condition("Gateway", Key("infra", "api"), "Programmed") == ("True", "Programmed")


async def test_a_listener_that_cannot_bind_until_it_can() -> None:
    async with running(GATEWAY) as one:
        [listener] = one.workers.serving.listeners
        one.workers.report(Outcome(version=1, target=1, listeners={listener: Failed("port 8080 is taken")}))
        await one.settle(1)
        assert one.condition("Gateway", Key("infra", "web"), "Programmed")[0] == "False"
        one.workers.report(Outcome(version=1, target=1, listeners={listener: Bound()}))
        await one.settle(1)
        assert one.condition("Gateway", Key("infra", "web"), "Programmed") == ("True", "Programmed")


async def test_what_no_status_says_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    told = GraphSettings(gateways=frozenset({"infra/web"}))
    caplog.set_level(logging.INFO, "fastroute.reporting.warninglog")
    async with running(FRUITS, settings=told) as one:
        assert "--gateway names infra/web, which does not exist" in caplog.text
        caplog.clear()
        one.source.put(APPLES)
        await one.settle(1)
        assert caplog.text == ""
        one.source.put(GATEWAY)
        await one.settle(2)
        assert "Gateway infra/web, which --gateway names, is served now" in caplog.text


async def test_an_object_that_goes_is_forgotten() -> None:
    async with running(GATEWAY, FRUITS, APPLES) as one:
        one.source.take(HTTPRoute, "infra", "fruits")
        await one.settle(2)
        assert one.workers.serving.rules == {}
        assert ROUTE not in one.log.patches


# --- log messages


def problem(line: int, message: str = "must be a string") -> ManifestProblem:
    return ManifestProblem(
        file="a.yaml", line=line, message=message, kind="Service", namespace="n", name="s", field="spec", fix='"x"'
    )


async def test_a_problem_of_a_manifest_is_said_once_and_when_it_is_mended(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def said() -> list[tuple[str, str]]:
        records = [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "fastroute.reporting.problemlog"]
        caplog.clear()
        return records

    async with running(GATEWAY) as one:
        for now, expected in (
            ([problem(3)], [("WARNING", 'a.yaml:3: Service n/s: spec: must be a string (write "x")')]),
            ([problem(4)], []),  # it only moved
            ([], [("INFO", "fixed: a.yaml:4: Service n/s: spec: must be a string")]),
        ):
            one.source.report(now)
            await one.settle(1)
            assert said() == expected
        one.source.report([problem(1, f"no {number}") for number in range(102)])
        await one.settle(1)
        lines = said()
        assert len(lines) == 101
        assert lines[-1][1].startswith("2 more problems")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "fastroute.reporting.statuslog"]


async def test_only_what_is_wrong_is_logged_of_what_is_new(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(GATEWAY, FRUITS, APPLES, BANANAS, TO_APPLES) as one:
        [line] = lines(caplog)
        assert line.startswith("HTTPRoute infra/fruits at Gateway infra/web: ResolvedRefs=False/RefNotPermitted: ")
        caplog.clear()
        one.source.put(TO_BANANAS)
        await one.settle(2)
        [line] = lines(caplog)
        assert line.startswith("HTTPRoute infra/fruits at Gateway infra/web: ResolvedRefs=True/ResolvedRefs: ")
        assert one.value("status_writes_total") == len(one.log.patches) + 1


async def test_of_very_many_conditions_the_first_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    refused = [route(f"apples/r{number}", "\n  - {}") for number in range(101)]
    async with running(GATEWAY.replace("from: All", "from: Same"), *refused):
        said = lines(caplog)
        assert len(said) == 101
        assert said[-1] == "1 more conditions changed"
