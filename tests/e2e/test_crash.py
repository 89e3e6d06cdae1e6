"""A worker is killed under load; the main process is killed; counters survive the death of a worker."""

import os
import signal

import trio
from e2e.serving import is_running, killed, replaced, serving
from load import PATIENCE, Load, loaded, until


async def test_a_killed_worker_costs_its_requests_in_flight_and_nothing_else(tmp_path):
    clients = 16
    async with serving(tmp_path, delay=0.01) as served:
        async with (
            loaded(Load(served.port, "/fruits"), clients) as load,
            loaded(Load(served.port, "/fruits", keep=False), 4) as fresh,
        ):
            await load.answered(100)
            _, gone = await killed(served.workers()[0])
            back = await replaced(served, 1)
            await load.answered(100)
        metrics = await served.metrics()
    # Each client had at most one request in flight, and no connection that was opened after the death broke.
    assert len(load.breaks) < clients
    assert len(load.breaks) + len(fresh.breaks) < clients + 4
    assert all(one.opened <= gone for one in [*load.breaks, *fresh.breaks])
    assert set(load.sources() + fresh.sources()) == {"bananas", "apples"}
    # The dead worker's queue was served. Otherwise connections in it would have waited for the replacement: all four
    # clients would have been stuck after about four responses, and more than twenty have a probability of 1 in 7,000.
    assert sum(gone < one.asked and one.came < back for one in fresh.answers) > 20
    assert metrics["fastroute_worker_restarts_total"] == 1


async def test_counts_survive_a_workers_death(tmp_path):
    async with serving(tmp_path) as served:
        async with loaded(Load(served.port, "/fruits"), 8) as load:
            await load.answered(50)
        await counts(served, len(load.answers))
        for deaths, dead in enumerate(served.workers(), 1):
            await killed(dead)
            await replaced(served, deaths)
        assert answered(await served.metrics()) == len(load.answers)
        async with loaded(Load(served.port, "/fruits"), 8) as more:
            await more.answered(50)
        await counts(served, len(load.answers) + len(more.answers))
        metrics = await served.metrics()
    assert load.breaks == more.breaks == []
    assert answered(metrics) == len(load.answers) + len(more.answers)
    assert metrics['fastroute_connections{side="downstream",state="active"}'] == 0


async def counts(served, answers):
    """Waits until `answers` responses are counted: the last one may be sent just before it is counted."""
    with trio.fail_after(PATIENCE):
        while answered(await served.metrics()) < answers:  # noqa: ASYNC110
            await trio.sleep(0.005)


def answered(metrics):
    return sum(value for name, value in metrics.items() if name.startswith("fastroute_http_requests_total{"))


async def test_without_main_workers_finish_and_end(tmp_path):
    async with serving(tmp_path, delay=0.5) as served:
        workers = served.workers()
        async with loaded(Load(served.port, "/fruits"), 4) as load:
            await until(lambda: served.asked() == 4)
            os.kill(served.pid, signal.SIGKILL)
            load.stop()
        assert load.breaks == []
        assert {one.status for one in load.answers} == {200}
        await until(lambda: not any(map(is_running, workers)))


async def test_a_signal_to_a_worker_is_mains_to_obey(tmp_path):
    async with serving(tmp_path) as served:
        before = served.workers()
        for pid in before:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(pid, number)
        async with loaded(Load(served.port, "/fruits"), 4) as load:
            await load.answered(50)
        assert served.workers() == before
    assert load.breaks == []


async def test_a_stopped_worker_delays_nobody_else(tmp_path):
    async with serving(tmp_path) as served:
        stopped = served.workers()[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            for change, source in ((served.world.remove, "500"), (served.world.grant, "bananas")):
                change("grant")
                await first(served, source)
        finally:
            os.kill(stopped, signal.SIGCONT)
        with trio.fail_after(PATIENCE):
            while (await served.metrics())["fastroute_config_version"] < 3:  # noqa: ASYNC110
                await trio.sleep(0.02)
        async with loaded(Load(served.port, "/fruits", keep=False), 4) as load:
            await load.answered(50)
        assert set(load.sources()) == {"bananas", "apples"}
        assert stopped in served.workers()  # which shows that no request waited until it was replaced


async def first(served, source):
    """Waits until a new connection gets a response from `source`; some connections may never get one."""
    load = Load(served.port, "/fruits", keep=False)
    with trio.fail_after(PATIENCE):
        while source not in load.sources():
            with trio.move_on_after(0.1):
                await load.run(4)
