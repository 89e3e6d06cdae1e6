"""The reconcile loop: what the data plane and the statuses get after a change, a burst of changes, and a failure."""

import gc
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from worlds import APPLES, BANANAS, FRUITS, GATEWAY, grant, route, service, world

from fastroute import reconcile as loop
from fastroute.graph.node import Graph
from fastroute.metrics import Metrics
from fastroute.publication import Decoder, Downward, EndpointUpdate, apply, difference, encode, publication
from fastroute.resources.core import EndpointSlice
from fastroute.resources.gateway import HTTPRoute
from fastroute.resources.meta import Key
from fastroute.resources.policy import ReferenceGrant
from fastroute.resources.problem import ManifestProblem
from fastroute.resources.world import Resources
from fastroute.settings import GraphSettings
from fastroute.snapshot import Bound, Failed, Outcome, Snapshot
from fastroute.source.statuslog import StatusLog
from fastroute.source.store import FIELDS, Apply, Delete, Store

TO_APPLES, TO_BANANAS = grant("apples", "infra", "apple-echo"), grant("bananas", "infra", "banana-echo")


class Shelf:
    """A source with the objects that the test adds."""

    def __init__(self, *manifests: str) -> None:
        self.store = Store()
        self._changed: Callable[[], None] = lambda: None
        self.put(*manifests)

    def put(self, *manifests: str) -> None:
        resources = world(*manifests)
        objects = [each for field in FIELDS.values() for each in getattr(resources, field).values()]
        self.store.apply([Apply(each) for each in objects])
        self._changed()

    def take(self, kind: type[Any], namespace: str, name: str) -> None:
        self.store.apply([Delete(kind, Key(namespace, name))])
        self._changed()

    def report(self, problems: list[ManifestProblem]) -> None:
        self.store.report(problems)
        self._changed()

    async def watch(self, changed: Callable[[float], None]) -> None:
        self._changed = lambda: changed(trio.current_time())
        await trio.sleep_forever()


class Workers:
    """A data plane that applies the messages it decodes, and records them. `gate` delays acknowledgements; with `late`,
    they do not arrive in time."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []
        self.messages: list[list[Downward]] = []
        self.outcome = Outcome(version=0)
        self.gate: trio.Event | None = None
        self._changed: Callable[[], None] = lambda: None
        self.late = False
        self.failure: Exception | None = None

    @property
    def serving(self) -> Snapshot:
        return self.snapshots[-1] if self.snapshots else Snapshot()

    async def publish(self, snapshot: Snapshot) -> Outcome:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        version = len(self.snapshots) + 1
        changes = difference(self.serving, snapshot)
        if self.snapshots and not changes:
            return self.outcome
        decoder = Decoder[Downward](Downward)
        decoder.feed(b"".join(map(encode, publication(version, version - 1, changes))))
        self.messages.append(list(decoder))
        self.snapshots.append(apply(self.serving, changes))
        assert self.serving == snapshot
        if self.gate is not None:
            await self.gate.wait()
        await trio.lowlevel.checkpoint()
        listeners = {id: Bound() for id in snapshot.listeners}
        self.turn(Outcome(version=0 if self.late else version, target=version, listeners=listeners))
        return self.outcome

    def turn(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self._changed()

    async def watch(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        await trio.sleep_forever()


class Running:
    """A running loop, with its source, data plane, metrics and status log."""

    def __init__(self, *manifests: str) -> None:
        self.source = Shelf(*manifests)
        self.workers = Workers()
        self.metrics = Metrics()
        self.log = StatusLog(self.metrics.status_writes.inc)

    async def settle(self, passes: int) -> None:
        """Waits until the loop is idle; `passes` is the expected number of snapshots published so far."""
        await trio.testing.wait_all_tasks_blocked()
        assert len(self.workers.snapshots) == passes

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"fastroute_{name}", labels)

    def condition(self, kind: str, key: Key, type_: str) -> tuple[str, str]:
        status = self.log.patches[kind, key].status
        holder = status["parents"][0] if "parents" in status else status
        [condition] = [each for each in holder["conditions"] if each["type"] == type_]
        return condition["status"], condition["reason"]

    def shares(self) -> list[int | None]:
        [rule] = self.workers.serving.rules.values()
        return [backend.status for backend in rule.backends]


@asynccontextmanager
async def running(*manifests: str, settings: GraphSettings | None = None) -> AsyncIterator[Running]:
    one = Running(*manifests)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(loop.reconcile, one.source, one.workers, one.log, settings or GraphSettings(), one.metrics)
        await one.settle(1)
        yield one
        nursery.cancel_scope.cancel()


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
        one.workers.turn(msgspec.structs.replace(one.workers.outcome, version=2))
        await one.settle(2)
        assert one.condition("Gateway", Key("infra", "api"), "Programmed") == ("True", "Programmed")


async def test_a_listener_that_cannot_bind_until_it_can() -> None:
    async with running(GATEWAY) as one:
        [listener] = one.workers.serving.listeners
        one.workers.turn(Outcome(version=1, target=1, listeners={listener: Failed("port 8080 is taken")}))
        await one.settle(1)
        assert one.condition("Gateway", Key("infra", "web"), "Programmed")[0] == "False"
        one.workers.turn(Outcome(version=1, target=1, listeners={listener: Bound()}))
        await one.settle(1)
        assert one.condition("Gateway", Key("infra", "web"), "Programmed") == ("True", "Programmed")


async def test_what_no_status_says_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    told = GraphSettings(gateways=frozenset({"infra/web"}))
    caplog.set_level(logging.INFO, "fastroute.source.warninglog")
    async with running(FRUITS, settings=told) as one:
        assert "--gateway names infra/web, which does not exist" in caplog.text
        caplog.clear()
        one.source.put(APPLES)
        await one.settle(1)
        assert caplog.text == ""
        one.source.put(GATEWAY)
        await one.settle(2)
        assert "Gateway infra/web, which --gateway names, is served now" in caplog.text


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


async def test_what_is_kept_is_left_alone_by_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "MANY", 1)
    gc.unfreeze()
    async with running(GATEWAY):
        assert gc.get_freeze_count() == 0
    async with running(GATEWAY, FRUITS):
        assert gc.get_freeze_count() > 0
    gc.unfreeze()


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
        records = [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "fastroute.source.problemlog"]
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
    return [record.getMessage() for record in caplog.records if record.name == "fastroute.source.statuslog"]


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
