"""Changes of one namespace in bulk do not delay those of others in the stream of a watch."""

import json
from typing import Any

import msgspec
import pytest

from fastroute.apiserver.client import ApiError, Line
from fastroute.source.kubernetes import watch
from fastroute.source.kubernetes.backlog import Backlog, Notice
from fastroute.source.kubernetes.watch import Watch

MANY = 2_000
ROOM = 1_000


def line(namespace: str, name: str, version: int, what: str = "MODIFIED", arrived: float = 1.0) -> Line:
    metadata = {"namespace": namespace, "name": name, "resourceVersion": str(version)}
    return Line(json.dumps({"type": what, "object": {"metadata": metadata}}).encode(), arrived)


class Arrived:
    """A stream with lines that arrive while earlier ones are processed."""

    def __init__(self, *later: list[Line]) -> None:
        self.later = list(later)

    def lines_nowait(self) -> list[Line]:
        return self.later.pop(0) if self.later else []


class Taken:
    """The notices that the watch passed on: (namespace, name, version). Counts how often the API server was heard."""

    def __init__(self) -> None:
        self.times_heard = 0
        self.watch = Watch(None, self, "HTTPRoute", "/routes")  # type: ignore[arg-type]
        self.watch._version = "1"
        self.batches: list[list[tuple[str, str, int]]] = []

    async def process(self, lines: list[Line], *later: list[Line]) -> None:
        await self.watch._take_fairly(lines, Arrived(*later), self._take)  # type: ignore[arg-type]

    def heard(self, name: str) -> None:
        self.times_heard += 1

    def _take(self, notices: list[Notice]) -> None:
        found: list[dict[str, Any]] = [json.loads(bytes(notice.content))["metadata"] for notice in notices]
        self.batches.append([(one["namespace"], one["name"], int(one["resourceVersion"])) for one in found])

    @property
    def all(self) -> list[tuple[str, str, int]]:
        return [one for batch in self.batches for one in batch]


def test_the_namespaces_take_fairly() -> None:
    backlog = Backlog()
    backlog.add(Notice("Put", namespace=b"bulk", name=b"%d" % number) for number in range(5))
    backlog.add([Notice("Put", namespace=b"victim", name=b"v")])
    assert [notice.name for notice in backlog.take(3, ROOM)] == [b"0", b"v", b"1"]
    assert len(backlog) == 3


def test_a_newer_notice_replaces_the_one_that_waits() -> None:
    backlog = Backlog()
    backlog.add([Notice("Put", msgspec.Raw(b"1"), b"a", b"x"), Notice("Put", namespace=b"a", name=b"y")])
    backlog.add([Notice("Gone", msgspec.Raw(b"2"), b"a", b"x")])
    assert [(one.what, bytes(one.content), one.name) for one in backlog.take(9, ROOM)] == [
        ("Gone", b"2", b"x"),
        ("Put", b"", b"y"),
    ]
    assert backlog.take(1, ROOM) == []


def test_a_change_has_waited_since_its_first_version_arrived() -> None:
    backlog = Backlog()
    backlog.add(
        [Notice("Put", namespace=b"a", name=b"x", since=1.0), Notice("Put", namespace=b"a", name=b"y", since=2.0)]
    )
    backlog.add([Notice("Put", namespace=b"a", name=b"x", since=3.0)])
    assert [notice.since for notice in backlog.take(9, ROOM)] == [1.0, 2.0]


def test_few_large_objects_are_taken_at_a_time() -> None:
    """Decoding 32 routes of 200 KB takes 90 ms."""
    backlog = Backlog()
    backlog.add(Notice("Put", msgspec.Raw(b"x" * 400), b"a", b"%d" % number) for number in range(5))
    assert [len(backlog.take(32, ROOM)) for _ in range(3)] == [3, 2, 0]
    backlog.add([Notice("Put", msgspec.Raw(b"x" * 9 * ROOM), b"a", b"%d" % number) for number in range(2)])
    assert len(backlog.take(32, ROOM)) == 1


async def test_large_objects_are_processed_one_at_a_time() -> None:
    taken = Taken()
    padding = "x" * watch.SLICE_SIZE
    await taken.process([line("bulk", f"b{number}{padding}", 2 + number) for number in range(8)])
    assert [len(batch) for batch in taken.batches] == [1] * 8


@pytest.mark.parametrize(("sizes", "count"), [([9] * 99, watch.SLICE), ([watch.SLICE_SIZE] * 3, 1), ([9, 10**9, 9], 2)])
def test_objects_of_a_listing_are_processed_in_slices(sizes: list[int], count: int) -> None:
    assert watch.slice_of(map(range, sizes)) == count


async def test_thousands_of_changes_do_not_delay_one_of_another_namespace() -> None:
    taken = Taken()
    bulk = [line("bulk", f"b{number}", 2 + number) for number in range(MANY)]
    await taken.process([*bulk, line("victim", "v", MANY + 2)])
    assert len(taken.all) == MANY + 1
    assert taken.all.index(("victim", "v", MANY + 2)) <= watch.SLICE * (MANY // watch.HEADS + 1)
    assert max(map(len, taken.batches)) <= watch.SLICE
    assert taken.watch._version == str(MANY + 2)


async def test_what_arrives_meanwhile_takes_turns_too() -> None:
    taken = Taken()
    bulk = [line("bulk", f"b{number}", 2 + number) for number in range(MANY)]
    again = [line("bulk", f"b{number}", 5000 + number) for number in range(MANY)]
    await taken.process(bulk[:500], [line("victim", "v", 600)], bulk[500:], again)
    assert taken.all.index(("victim", "v", 600)) < 2 * watch.SLICE
    newest = {(namespace, name): version for namespace, name, version in taken.all}
    assert all(newest["bulk", f"b{number}"] == 5000 + number for number in range(MANY))
    assert len(taken.all) < 2 * MANY, "old versions of objects that change again are left out"


async def test_few_large_objects_are_fetched_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 objects of 1 MB would need 5 GB."""
    sizes: list[int] = []
    add = Backlog.add

    def counted(backlog: Backlog, notices: Any) -> None:
        add(backlog, notices)
        sizes.append(backlog.size)

    monkeypatch.setattr(Backlog, "add", counted)
    monkeypatch.setattr(watch, "AHEAD_SIZE", 8 * watch.SLICE_SIZE)
    taken = Taken()
    padding = "x" * watch.SLICE_SIZE
    later = [
        [line("bulk", f"b{number}-{part}{padding}", 9 * number + part) for part in range(3)] for number in range(9)
    ]
    await taken.process([line("bulk", "b", 2)], *later)
    assert len(taken.all) == 1 + 3 * 9
    assert max(sizes) < 12 * watch.SLICE_SIZE


def test_the_size_is_that_of_what_waits() -> None:
    backlog = Backlog()
    for size in (400, 300):
        backlog.add(Notice("Put", msgspec.Raw(b"x" * size), b"a", b"%d" % number) for number in range(2))
    assert backlog.size == 600
    backlog.take(1, ROOM)
    assert backlog.size == 300
    backlog.take(1, ROOM)
    assert backlog.size == 0


async def test_what_arrives_meanwhile_is_a_sign_of_life_of_the_server() -> None:
    taken = Taken()
    later = [[line("bulk", f"b{number}", 3 + number)] for number in range(5)]
    await taken.process([line("bulk", "b", 2)], *later)
    assert taken.times_heard == 6


async def test_an_error_of_the_server_comes_after_the_changes_before_it() -> None:
    taken = Taken()
    gone = Line(json.dumps({"type": "ERROR", "object": {"code": 410, "reason": "Gone"}}).encode(), 1.0)
    bulk = [line("bulk", f"b{number}", 2 + number) for number in range(watch.HEADS)]
    with pytest.raises(ApiError):
        await taken.process([*bulk, gone])
    assert len(taken.all) == watch.HEADS
    assert max(map(len, taken.batches)) <= watch.SLICE, "other tasks run in between"
    assert taken.watch._version == str(watch.HEADS + 1)
