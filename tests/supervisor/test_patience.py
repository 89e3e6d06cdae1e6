"""A worker whose installation does not end is replaced; one at a time, because it still serves the version before."""

from typing import Any

import pytest
import trio

from fastroute.supervisor import patience
from fastroute.supervisor.patience import INSTALLATION, replaced_when_endless


class Worker:
    """One that installs a version, and serves an earlier one."""

    def __init__(self, slot: int, *, serving: bool = True) -> None:
        self.slot, self.serving, self.owed = slot, serving, True
        self.killed: list[float] = []

    def kill(self) -> None:
        self.serving = False
        self.killed.append(trio.current_time())


class Workers:
    def __init__(self, *workers: Worker) -> None:
        self.workers: Any = workers
        self.changed = trio.Event()

    def change(self) -> None:
        before, self.changed = self.changed, trio.Event()
        before.set()

    def all_serve(self) -> bool:
        return all(worker.serving for worker in self.workers)

    async def install(self, worker: Any) -> None:
        async with replaced_when_endless(worker, 7, self.all_serve, lambda: self.changed):
            while worker.owed:
                await self.changed.wait()


async def test_only_one_of_several_is_killed_until_its_successor_serves(autojump_clock, caplog) -> None:
    workers = Workers(Worker(0), Worker(1))
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for worker in workers.workers:
            nursery.start_soon(workers.install, worker)
        await trio.sleep(2 * INSTALLATION)
        [first] = [worker for worker in workers.workers if worker.killed]
        [other] = [worker for worker in workers.workers if not worker.killed]
        assert first.killed == [pytest.approx(began + INSTALLATION)]
        first.serving = True  # as its successor
        workers.change()
    assert len(other.killed) == 1
    assert [record.message for record in caplog.records if record.name == patience.__name__] == [
        f"worker {one.slot} has been installing version 7 for 300 s: replacing it" for one in (first, other)
    ]


async def test_one_that_ends_late_is_kept(autojump_clock) -> None:
    workers = Workers(Worker(0), Worker(1, serving=False))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.install, workers.workers[0])
        await trio.sleep(INSTALLATION + 1)  # it must wait for the other one
        workers.workers[0].owed = None
        workers.change()
    assert workers.workers[0].killed == []


async def test_one_that_serves_nothing_is_killed_at_once(autojump_clock) -> None:
    workers = Workers(Worker(0, serving=False), Worker(1, serving=False))
    began = trio.current_time()
    await workers.install(workers.workers[0])
    assert workers.workers[0].killed == [pytest.approx(began + INSTALLATION)]


async def test_one_that_ends_in_time_is_kept(autojump_clock) -> None:
    workers = Workers(Worker(0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.install, workers.workers[0])
        await trio.sleep(INSTALLATION - 1)
        workers.workers[0].owed = None
        workers.change()
    assert workers.workers[0].killed == []
