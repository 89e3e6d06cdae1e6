"""The reconcile loop when a stage or the data plane raises: what is still served, and what is quarantined."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from reconciling import Running, running
from worlds import APPLES, BANANAS, FRUITS, GATEWAY, grant, route

from fastroute import reconcile as loop
from fastroute.graph.node import Graph
from fastroute.resources.httproute import HTTPRoute
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources
from fastroute.settings import GraphSettings

TO_APPLES, TO_BANANAS = grant("apples", "infra", "apple-echo"), grant("bananas", "infra", "banana-echo")


async def test_a_failure_leaves_what_was_served(caplog: pytest.LogCaptureFixture) -> None:
    async with running(GATEWAY, FRUITS, APPLES, TO_APPLES) as one:
        one.workers.failure = RuntimeError("the workers cannot be reached")
        one.source.put(BANANAS)
        await trio.testing.wait_all_tasks_blocked()
        assert one.shares() == [500, None]
        assert "the previous configuration stays in service" in caplog.text
        assert "the workers cannot be reached" in caplog.text
        assert "cannot be processed" not in caplog.text
        one.source.put(TO_BANANAS)
        await one.settle(2)
        assert one.shares() == [None, None]


async def test_a_change_that_cannot_be_worked_in_is_built_from_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    build_graph = loop.build_graph

    def broken(resources: Resources, settings: GraphSettings, previous: Any) -> Any:
        if previous is not None and previous.gateways:
            raise AssertionError("an error in incremental builds only")
        return build_graph(resources, settings)

    async with running(GATEWAY, FRUITS, APPLES, TO_APPLES, BANANAS) as one:
        monkeypatch.setattr(loop, "build_graph", broken)
        one.source.put(TO_BANANAS)
        await one.settle(2)
        assert one.shares() == [None, None]
        assert "building from scratch" in caplog.text


async def test_a_first_pass_that_fails_leaves_the_next_to_serve(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    compile_snapshot = loop.compile_snapshot

    def broken(graph: Graph, *others: Any) -> Any:
        assert len(graph.gateways) > 1, "an error with a single Gateway"
        return compile_snapshot(graph, *others)

    monkeypatch.setattr(loop, "compile_snapshot", broken)
    one = Running(GATEWAY)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(loop.reconcile, one.source, one.workers, one.log, GraphSettings(), one.metrics)
        await one.settle(0)
        assert "an error with a single Gateway" in caplog.text
        one.source.put(GATEWAY.replace("web", "api").replace("8080", "8081"))
        await one.settle(1)
        assert len(one.workers.serving.listeners) == 2
        nursery.cancel_scope.cancel()


BAD = "defect.example.com"


def defect(monkeypatch: pytest.MonkeyPatch, stage: str, finds: Callable[[list[HTTPRoute]], bool]) -> None:
    """From now on `stage` raises an error if `finds` is true of the HTTPRoutes that it is given."""
    original = getattr(loop, stage)

    def broken(given: Resources | Graph, *others: Any) -> Any:
        routes = (
            given.http_routes.values()
            if isinstance(given, Resources)
            else [each.source for each in given.routes.values()]
        )
        assert not finds(routes), "an error in this stage"
        return original(given, *others)

    monkeypatch.setattr(loop, stage, broken)


def has_bad(routes: list[HTTPRoute]) -> bool:
    return any(BAD in route.spec.hostnames for route in routes)


@pytest.mark.parametrize("stage", ["build_graph", "compile_snapshot", "build_statuses"])
async def test_a_change_that_cannot_be_worked_with_holds_nobody_up(
    stage: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(GATEWAY, FRUITS, APPLES, BANANAS, TO_APPLES) as one:
        defect(monkeypatch, stage, has_bad)
        others = [route(f"infra/r{number}", " [{}]", f"[{number}.example.com]") for number in range(9)]
        new = route("infra/new", " [{}]", f"[{BAD}]")
        one.source.put(others[0], new, FRUITS.replace("hostnames: []", f"hostnames: [{BAD}]"), *others[1:], TO_BANANAS)
        await trio.testing.wait_all_tasks_blocked()
        assert "HTTPRoute infra/fruits cannot be processed" in caplog.text
        assert "its last good version is served until it changes" in caplog.text
        assert "HTTPRoute infra/new cannot be processed because of a bug in fastroute: it is not served" in caplog.text
        assert caplog.text.count("cannot be processed") == 2
        assert len(one.workers.serving.rules) == 1 + len(others)
        [fruits] = [rule for rule in one.workers.serving.rules.values() if len(rule.backends) == 2]
        assert [backend.status for backend in fruits.backends] == [None, None]
        assert one.condition("HTTPRoute", Key("infra", "r8"), "Accepted") == ("True", "Accepted")
        assert ("HTTPRoute", Key("infra", "new")) not in one.log.patches
        caplog.clear()
        one.source.put(route("infra/r9", " [{}]"))
        await trio.testing.wait_all_tasks_blocked()
        assert len(one.workers.serving.rules) == 2 + len(others)
        one.source.put(new.replace(BAD, "mended.example.com"))
        await trio.testing.wait_all_tasks_blocked()
        assert len(one.workers.serving.rules) == 3 + len(others)
        assert caplog.text == ""


async def test_a_removal_that_cannot_be_worked_with_is_not_made(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(GATEWAY, FRUITS, APPLES) as one:
        defect(monkeypatch, "build_graph", lambda routes: not any(each.key.name == "fruits" for each in routes))
        one.source.take(HTTPRoute, "infra", "fruits")
        one.source.put(TO_APPLES)
        await one.settle(2)
        assert one.shares() == [500, None]
        assert "HTTPRoute infra/fruits cannot be processed because of a bug in fastroute: although" in caplog.text
        one.source.put(FRUITS)
        one.source.put(BANANAS, TO_BANANAS)
        await one.settle(3)
        assert one.shares() == [None, None]


async def test_a_bad_object_of_the_first_pass_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    defect(monkeypatch, "compile_snapshot", has_bad)
    async with running(GATEWAY, APPLES, TO_APPLES, FRUITS, route("infra/new", " [{}]", f"[{BAD}]")) as one:
        assert one.shares() == [500, None]


@pytest.mark.parametrize("is_held", [False, True])
async def test_what_does_not_change_is_not_worked_in_again(monkeypatch: pytest.MonkeyPatch, is_held: bool) -> None:
    defect(monkeypatch, "compile_snapshot", has_bad)
    async with running(GATEWAY, FRUITS, APPLES, TO_APPLES) as one:
        if is_held:
            one.source.put(route("infra/new", " [{}]", f"[{BAD}]"))
            await trio.testing.wait_all_tasks_blocked()
        passes = 0
        build_graph = loop.build_graph

        def counted(*given: Any) -> Graph:
            nonlocal passes
            passes += 1
            return build_graph(*given)

        monkeypatch.setattr(loop, "build_graph", counted)
        one.source.put(BANANAS, TO_BANANAS)
        await one.settle(2)
        one.source.report([])
        await one.settle(2)
        assert passes == 1


async def test_no_object_is_to_blame_for_what_breaks_without_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(GATEWAY, FRUITS, APPLES, TO_APPLES) as one:
        with monkeypatch.context() as patched:
            defect(patched, "build_graph", lambda routes: True)
            one.source.put(BANANAS, TO_BANANAS)
            await one.settle(1)
            assert "the previous configuration stays in service" in caplog.text
            assert "cannot be processed" not in caplog.text
        one.source.put(route("infra/new", " [{}]"))
        await one.settle(2)
        assert len(one.workers.serving.rules) == 2


async def test_what_other_crds_make_fail_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An object that was served until the CRDs were replaced, and an object that was already quarantined."""
    build_graph, worse = loop.build_graph, "worse.example.com"

    def broken(resources: Resources, settings: GraphSettings, *others: Any) -> Graph:
        names = {name for each in resources.http_routes.values() for name in each.spec.hostnames}
        assert worse not in names, "an error in this stage"
        assert BAD not in names or settings.bundle_version is None, "an error with the installed CRDs only"
        return build_graph(resources, settings, *others)

    monkeypatch.setattr(loop, "build_graph", broken)
    old = route("infra/old", " [{}]", f"[{BAD}]")
    async with running(GATEWAY, FRUITS, APPLES, TO_APPLES, old) as one:
        one.source.put(old.replace(BAD, worse))
        await one.settle(1)
        one.source.store.bundle_version = "v1.7.0"
        one.source.put(BANANAS, TO_BANANAS)
        with trio.fail_after(60):
            await one.settle(2)
        assert one.shares() == [None, None]
        assert caplog.text.count("cannot be processed") == 2
        caplog.clear()
        one.source.put(old.replace(BAD, "mended.example.com"))
        await one.settle(3)
        assert len(one.workers.serving.rules) == 2
        assert caplog.text == ""
