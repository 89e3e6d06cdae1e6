"""Bulk changes of one namespace in the reconcile loop: how many passes a change of another one waits for."""

import pytest
import trio
import trio.testing
from reconciling import Running, running
from worlds import APPLES, BANANAS, FRUITS, GATEWAY, grant, route

from fastroute import reconcile as loop
from fastroute.resources.httproute import HTTPRoute
from fastroute.resources.meta import Key
from fastroute.source.debts import FACTOR

MANY = 1_000
BULK = GATEWAY.replace("name: web, namespace: infra", "name: web, namespace: a-bulk").replace("8080", "8081")


def bulk(host: str) -> list[str]:
    return [route(f"a-bulk/r{number}", " [{}]", f"[{host}]") for number in range(MANY)]


def mine(one: Running) -> set[str]:
    """The hostnames of the route infra/mine that are served."""
    return {
        name for rule in one.workers.serving.rules.values() if rule.route == "infra/mine" for name in rule.hostnames
    }


def theirs(one: Running, host: str) -> int:
    """How many routes of a-bulk are served with this hostname."""
    rules = one.workers.serving.rules.values()
    return sum(host in rule.hostnames for rule in rules if rule.route.startswith("a-bulk/"))


async def until_theirs(one: Running, host: str, count: int) -> None:
    """a-bulk may have to wait, because it uses much time: the clock of these tests jumps there."""
    with trio.fail_after(1_000):
        while theirs(one, host) != count:  # noqa: ASYNC110 (no event reports it)
            await trio.sleep(0.05)


async def test_a_change_is_in_the_next_pass_whatever_another_namespace_changes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    before = [route("infra/mine", " [{}]", "[old.example.com]"), *bulk("old.example.com")]
    async with running(GATEWAY, BULK, *before) as one:
        assert theirs(one, "old.example.com") == MANY, "the first pass takes everything"
        one.workers.gate = trio.Event()
        one.source.put(*bulk("new.example.com"))
        await one.settle(2)
        one.source.put(route("infra/mine", " [{}]", "[new.example.com]"))
        gate, one.workers.gate = one.workers.gate, trio.Event()
        gate.set()
        await one.settle(3)
        assert mine(one) == {"new.example.com"}
        assert theirs(one, "new.example.com") <= 2 * loop.PORTION
        one.workers.gate.set()
        one.workers.gate = None
        await until_theirs(one, "new.example.com", MANY)
        assert len(one.workers.snapshots) <= 3 + MANY // loop.PORTION + 5


async def test_bulk_changes_are_served_completely_without_further_changes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(GATEWAY, BULK) as one:
        one.source.put(*bulk("a.example.com"))
        await until_theirs(one, "a.example.com", MANY)
        for number in range(MANY):
            one.source.take(HTTPRoute, "a-bulk", f"r{number}")
        await until_theirs(one, "a.example.com", 0)


async def test_the_time_of_a_change_is_counted_for_each_namespace() -> None:
    async with running(GATEWAY, FRUITS, APPLES, BANANAS) as one:
        one.source.put(grant("apples", "infra", "apple-echo"), grant("bananas", "infra", "banana-echo"))
        await one.settle(2)
        assert one.value("propagation_seconds_count") == 2


async def test_after_an_expensive_change_only_its_namespace_waits(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """A pass with a new Gateway of a-bulk costs a second."""
    cost = 0.0

    class Costly(loop.Cost):
        def __init__(self) -> None:
            super().__init__(lambda: 0.0)

        def __exit__(self, *exception: object) -> None:
            self.seconds = cost

    monkeypatch.setattr(loop, "Cost", Costly)

    def ports() -> set[int]:
        return {listener.place.port for listener in one.workers.serving.listeners.values()}

    async with running(GATEWAY, BULK) as one:
        cost = 0.4
        one.source.put(BULK.replace("8081", "9001"))
        await trio.sleep(0.01)
        assert ports() == {8080, 9001}, "the first one is served at once"
        cost = 0.001
        one.source.put(BULK.replace("8081", "9002"), route("a-bulk/r", " [{}]"))
        one.source.put(GATEWAY.replace("8080", "8888"))
        await trio.sleep(0.01)
        assert ports() == {8888, 9001}
        assert ("HTTPRoute", Key("a-bulk", "r")) in one.log.patches
        before = len(one.workers.snapshots)
        await trio.sleep(FACTOR * 0.4 - 0.1)
        assert len(one.workers.snapshots) == before
        await trio.sleep(0.1)
        assert ports() == {8888, 9002}


async def test_the_work_of_the_workers_is_charged_too(autojump_clock: trio.testing.MockClock) -> None:
    """With 100,000 endpoints, an installation costs a worker as much as the build costs the main process."""

    async def put(host: str) -> None:
        one.source.put(route("a-bulk/r", " [{}]", f"[{host}]"))
        await trio.sleep(0.01)

    async with running(GATEWAY, BULK) as one:
        one.workers.effort = 0.4
        await put("a.example.com")
        one.workers.effort = 0.0
        await put("b.example.com")
        assert (theirs(one, "a.example.com"), theirs(one, "b.example.com")) == (1, 0)
        await trio.sleep(2 * FACTOR * 0.4)
        assert theirs(one, "b.example.com") == 1


async def test_a_namespace_does_not_wait_because_of_the_listeners_of_another_one(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Each change of a ListenerSet of the Gateway costs 45 ms, because a-bulk has many listeners there."""

    class Costly(loop.Cost):
        def __exit__(self, *exception: object) -> None:
            self.seconds = 0.045

    monkeypatch.setattr(loop, "Cost", Costly)
    gateway = GATEWAY.replace("  listeners:", "  allowedListeners: {namespaces: {from: All}}\n  listeners:")

    def listeners(key: str, count: int, mark: int) -> str:
        namespace, name = key.split("/")
        each = "".join(
            f"\n  - {{name: l{number}, port: 8080, protocol: HTTP, hostname: {name}-{number}-{mark}.test}}"
            for number in range(count)
        )
        return (
            f"apiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\n"
            f"metadata: {{name: {name}, namespace: {namespace}}}\n"
            f"spec:\n  parentRef: {{name: web, namespace: infra}}\n  listeners:{each}\n"
        )

    async with running(gateway, *(listeners(f"a-bulk/s{number}", 64, 0) for number in range(20))) as one:
        for mark in range(5):
            one.source.put(listeners("mine/l", 1, mark))
            await trio.sleep(0.01)
            assert f"l-0-{mark}.test" in {listener.hostname for listener in one.workers.serving.listeners.values()}
        for mark, is_served in ((1, True), (2, False)):
            one.source.put(listeners("a-bulk/s0", 64, mark))
            await trio.sleep(0.01)
            hostnames = {listener.hostname for listener in one.workers.serving.listeners.values()}
            assert (f"s0-0-{mark}.test" in hostnames) is is_served
