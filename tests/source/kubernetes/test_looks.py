"""Secrets that are read in turn: how often, in which order, and what is done when a read fails."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from fastroute.apiserver.client import ApiError
from fastroute.apiserver.kinds import BY_KIND
from fastroute.apiserver.objects import Held
from fastroute.resources.meta import Key
from fastroute.source.kubernetes.looks import BURST, PATIENCE, PAUSE, RATE, RETRY, SHARE, Looks
from fastroute.source.kubernetes.named import Named
from fastroute.source.store import Apply, Delete, Store

A, Z = "a-tenant", "z-tenant"


class Server:
    """The Secrets by "namespace/name", and which of them were read, with the times."""

    host = "server"

    def __init__(self) -> None:
        self.secrets: set[str] = set()
        self.reads: list[tuple[str, float]] = []
        self.refusal: ApiError | None = None

    async def request(self, method: str, path: str, *, query: dict[str, str]) -> bytes:
        assert method == "GET"
        name = f"{path.split('/')[4]}/{query['fieldSelector'].removeprefix('metadata.name=')}"
        self.reads.append((name, trio.current_time()))
        await trio.sleep(0.001)
        if self.refusal is not None:
            raise self.refusal
        namespace, _, short = name.partition("/")
        one = f'{{"metadata": {{"name": "{short}", "namespace": "{namespace}", "uid": "u", "resourceVersion": "1"}}}}'
        return f'{{"items": [{one if name in self.secrets else ""}]}}'.encode()

    def times(self, namespace: str) -> list[float]:
        return [time for name, time in self.reads if name.startswith(namespace)]


class Scene:
    def __init__(self) -> None:
        self.server, self.store, self.calls = Server(), Store(), 0
        self.firsts: list[str] = []  # what was read for the first time
        self.looks = Looks(BY_KIND["Secret"], self.server, self._take, self._note, self._count)  # type: ignore[arg-type]

    def _take(self, events: Iterable[Apply | Delete]) -> None:
        self.store.apply(events)

    def _note(self, kind: str, key: Key) -> None:
        assert kind == "Secret"
        self.firsts.append(str(key))

    def _count(self) -> None:
        self.calls += 1

    @property
    def held(self) -> list[str]:
        return [str(key) for key in self.store.snapshot().secrets]


@asynccontextmanager
async def running() -> AsyncIterator[Scene]:
    scene = Scene()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.looks.run)
        yield scene
        nursery.cancel_scope.cancel()


def named(space: str, count: int) -> frozenset[Named]:
    return frozenset(Named(space, Key(space, f"s{number}")) for number in range(count))


async def test_thousands_of_secrets_of_one_namespace_do_not_delay_that_of_another(autojump_clock: Any) -> None:
    async with running() as one:
        one.looks.follow(named(A, 5_000))
        await trio.sleep(60)
        begin, before = trio.current_time(), len(one.server.reads)
        assert before <= BURST + 60 * RATE
        one.looks.follow(named(A, 5_000) | named(Z, 1))
        await trio.sleep(5 * PAUSE)
        first, *further = one.server.times(Z)
        assert first - begin <= 3 / RATE
        assert len(further) == 4
        assert len(one.server.reads) - before <= 5 * PAUSE * RATE + 1


async def test_few_secrets_are_read_once_per_pause(autojump_clock: Any) -> None:
    async with running() as one:
        one.looks.follow(named(A, 3))
        await trio.sleep(3.5 * PAUSE)
        assert len(one.server.reads) == 12
        one.looks.follow(named(A, 1))
        await trio.sleep(2 * PAUSE)
        assert len(one.server.reads) == 14
        one.looks.renew()
        await trio.sleep(0.1)
        assert len(one.server.reads) == 15


async def test_what_is_found_is_told_and_what_goes_too(autojump_clock: Any) -> None:
    async with running() as one:
        one.server.secrets.add("a-tenant/s0")
        one.looks.follow(named(A, 2))
        await trio.sleep(1)
        assert one.held == ["a-tenant/s0"]
        before = one.calls
        await trio.sleep(2 * PAUSE)
        assert one.calls == before
        one.server.secrets.clear()
        await trio.sleep(PAUSE)
        assert one.held == []
        assert one.calls == before + 1
        one.looks.adopt(Key(A, "s1"), Held("1", 1, "u"))
        one.looks.follow(frozenset())
        assert not one.looks.collection.held


async def test_the_first_configuration_waits_for_the_first_reads_but_not_for_long(autojump_clock: Any) -> None:
    for count, seconds in ((20, 0.1), (5_000, PATIENCE)):
        async with running() as one:
            assert one.looks.is_settled, "nothing to read"
            one.looks.follow(named(A, count))
            assert not one.looks.is_settled
            begin = trio.current_time()
            while not one.looks.is_settled:  # noqa: ASYNC110 (the clock jumps)
                await trio.sleep(0.01)
            assert trio.current_time() - begin <= seconds + 0.02


async def test_a_failed_read_removes_nothing_and_is_logged_once(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as one:
        one.server.secrets.add("a-tenant/s0")
        one.looks.follow(named(A, 1))
        await trio.sleep(1)
        one.server.refusal = ApiError(403, "Forbidden", "no")
        await trio.sleep(3 * PAUSE)
        assert one.held == ["a-tenant/s0"]
        assert caplog.messages == ["Secret a-tenant/s0 cannot be read: 403 Forbidden: no"]
        one.server.refusal = None
        one.server.secrets.clear()
        await trio.sleep(PAUSE)
        assert one.held == []


async def test_what_cannot_be_read_is_not_called_missing(autojump_clock: Any) -> None:
    """It is in the Store, without data and with the reason."""
    async with running() as one:
        one.server.refusal = ApiError(403, "Forbidden", "no")
        one.server.secrets.add("a-tenant/s0")
        one.looks.follow(named(A, 2))
        await trio.sleep(1)
        found = one.store.snapshot().secrets
        assert [str(key) for key in found] == ["a-tenant/s0", "a-tenant/s1"]
        why = (
            "cannot be read, because the API server answers 403 Forbidden: the ClusterRole of fastroute needs list and"
        )
        assert {secret.omission for secret in found.values()} == {f"{why} watch on secrets"}
        assert one.firsts == ["a-tenant/s0", "a-tenant/s1"]
        one.server.refusal = None
        await trio.sleep(PAUSE)
        assert [(str(key), secret.omission) for key, secret in one.store.snapshot().secrets.items()] == [
            ("a-tenant/s0", "")
        ]
        one.server.refusal = ApiError(0, "", "timed out")
        await trio.sleep(2 * PAUSE)
        assert [str(key) for key in one.store.snapshot().secrets] == ["a-tenant/s0"], "it is known that there is no s1"


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ApiError(429, "TooManyRequests", "later"), "cannot be read, because the API server answers 429"),
        (ApiError(503, "Unavailable", "later"), "cannot be read, because the API server answers 503"),
        (ApiError(0, "Timeout", "no answer"), "cannot be read: the API server cannot be reached"),
    ],
)
async def test_a_temporary_error_is_no_answer(autojump_clock: Any, error: ApiError, why: str) -> None:
    """The object is not called missing, but it counts as read only after an answer."""
    async with running() as one:
        one.server.refusal = error
        one.server.secrets.add("a-tenant/s0")
        one.looks.follow(named(A, 2))
        await trio.sleep(PATIENCE - 0.1)
        assert [secret.omission.startswith(why) for secret in one.store.snapshot().secrets.values()] == [True, True]
        assert not one.looks.is_settled
        await trio.sleep(5 * RETRY)
        assert one.looks.is_settled, "the first configuration does not wait longer"
        assert len(one.server.reads) <= 2 * (1 + (PATIENCE + 5 * RETRY) / RETRY)
        assert one.firsts == []
        assert not one.looks.has_read(Key(A, "s0"))
        one.server.refusal, before = None, len(one.server.reads)
        await trio.sleep(RETRY + 0.1)
        assert one.firsts == ["a-tenant/s0", "a-tenant/s1"]
        assert one.held == ["a-tenant/s0"]
        one.server.refusal = error
        await trio.sleep(PAUSE)
        assert len(one.server.reads) == before + 4, "later reads are repeated at the usual time"
        assert one.held == ["a-tenant/s0"]


async def test_the_reason_changes_with_the_answer(autojump_clock: Any) -> None:
    async with running() as one:
        one.server.refusal = ApiError(503, "Unavailable", "later")
        one.looks.follow(named(A, 1))
        await trio.sleep(RETRY / 2)
        one.server.refusal = ApiError(403, "Forbidden", "no")
        await trio.sleep(RETRY)
        assert ["403" in secret.omission for secret in one.store.snapshot().secrets.values()] == [True]
        assert one.firsts == ["a-tenant/s0"]


async def test_what_was_not_read_yet_is_read_first_but_not_only(autojump_clock: Any) -> None:
    async with running() as one:
        many = named(A, 1_000)
        one.looks.follow(many)
        await trio.sleep(70)
        new = frozenset(Named(A, Key(A, f"t{number}")) for number in range(1_000))
        some = frozenset(sorted(new)[:10])
        before = len(one.server.reads)
        one.looks.follow(many | some)
        await trio.sleep(2 * len(some) / RATE)
        assert all(one.looks.has_read(name.key) for name in some), "although thousands are to be read again"
        one.looks.follow(many | new)
        await trio.sleep(30)
        again = [name for name, _ in one.server.reads[before:] if "/s" in name]
        assert len(again) >= 30 * RATE / SHARE


async def test_what_a_watch_knew_counts_as_read(autojump_clock: Any) -> None:
    async with running() as one:
        for name, held in (("s0", Held("1", 1, "u")), ("s1", None)):
            one.looks.adopt(Key(A, name), held)
        one.looks.follow(named(A, 3))
        assert [one.looks.has_read(Key(A, f"s{number}")) for number in range(3)] == [True, True, False]
        await trio.sleep(1)
        assert one.firsts == ["a-tenant/s2"]


async def test_what_is_dropped_while_it_is_read_is_not_taken(autojump_clock: Any) -> None:
    async with running() as one:
        one.server.secrets.add("a-tenant/s0")
        one.looks.follow(named(A, 1))
        while not one.server.reads:
            await trio.lowlevel.checkpoint()
        one.looks.follow(frozenset())
        await trio.sleep(1)
        assert one.held == []
