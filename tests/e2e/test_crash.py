"""A worker is killed under load; main is killed; the counts of both survive."""

import os
import signal

import trio
from e2e.serving import serving
from load import Load, loaded


async def replaced(served, deaths, within):
    """Waits until main has replaced so many workers and two serve; seconds that it took."""
    began = trio.current_time()
    with trio.fail_after(within):
        while True:
            samples = await served.metrics()
            versions = [value for name, value in samples.items() if name.startswith("fastroute_worker_config_version")]
            if samples["fastroute_worker_restarts_total"] == deaths and len(versions) == 2 and min(versions) > 0:
                return trio.current_time() - began
            await trio.sleep(0.02)


async def test_a_killed_worker_costs_its_requests_in_flight_and_nothing_else(tmp_path):
    clients = 16
    async with serving(tmp_path, delay=0.01) as served:
        async with (
            loaded(Load(served.port, "/fruits"), clients) as load,
            loaded(Load(served.port, "/fruits", keep=False), 4) as fresh,
        ):
            await trio.sleep(0.5)
            dead = served.workers()[0]
            killed = trio.current_time()
            os.kill(dead, signal.SIGKILL)
            took = await replaced(served, 1, within=10)
            await trio.sleep(0.5)
        metrics = await served.metrics()
    # Each client had one request in flight, at most, and none was asked after the death and broke.
    assert len(load.breaks) < clients
    assert len(load.breaks) + len(fresh.breaks) < clients + 4
    assert all(one.asked <= killed + 0.5 for one in [*load.breaks, *fresh.breaks])
    assert set(load.sources() + fresh.sources()) == {"bananas", "apples"}
    # The dead worker's queue was looked after: nobody waited for its replacement.
    assert max(one.came - one.asked for one in fresh.answers) < max(1.0, took)
    assert metrics["fastroute_worker_restarts_total"] == 1


async def test_counts_survive_a_workers_death(tmp_path):
    async with serving(tmp_path) as served:
        async with loaded(Load(served.port, "/fruits"), 8) as load:
            await trio.sleep(0.3)
        assert answered(await served.metrics()) == len(load.answers)
        for deaths, dead in enumerate(served.workers(), 1):
            os.kill(dead, signal.SIGKILL)
            await replaced(served, deaths, within=10)
        assert answered(await served.metrics()) == len(load.answers)
        async with loaded(Load(served.port, "/fruits"), 8) as more:
            await trio.sleep(0.3)
        metrics = await served.metrics()
    assert load.breaks == more.breaks == []
    assert answered(metrics) == len(load.answers) + len(more.answers)
    assert metrics['fastroute_connections{side="downstream",state="active"}'] == 0


def answered(metrics):
    return sum(value for name, value in metrics.items() if name.startswith("fastroute_http_requests_total{"))


async def test_without_main_workers_finish_and_end(tmp_path):
    async with serving(tmp_path, delay=0.5) as served:
        workers = served.workers()
        async with loaded(Load(served.port, "/fruits"), 4) as load:
            await trio.sleep(0.2)
            os.kill(served.pid, signal.SIGKILL)
            load.stop()
        assert load.breaks == []
        assert {one.status for one in load.answers} == {200}
        with trio.fail_after(10):
            while any(map(is_running, workers)):  # noqa: ASYNC110
                await trio.sleep(0.02)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_signal_to_a_worker_is_mains_to_obey(tmp_path):
    async with serving(tmp_path) as served:
        before = served.workers()
        for pid in before:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(pid, number)
        async with loaded(Load(served.port, "/fruits"), 4) as load:
            await trio.sleep(0.2)
        assert served.workers() == before
    assert load.breaks == []


async def test_a_stopped_worker_delays_nobody_else(tmp_path):
    async with serving(tmp_path) as served:
        stopped = served.workers()[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            for change, source in ((served.world.remove, "500"), (served.world.grant, "bananas")):
                change("grant")
                assert await first(served, source, within=10) < 5
        finally:
            os.kill(stopped, signal.SIGCONT)
        with trio.fail_after(10):
            while (await served.metrics())["fastroute_config_version"] < 3:  # noqa: ASYNC110
                await trio.sleep(0.02)
        async with loaded(Load(served.port, "/fruits", keep=False), 4) as load:
            await trio.sleep(0.3)
        assert set(load.sources()) == {"bananas", "apples"}
        assert stopped in served.workers()


async def first(served, source, within):
    """Seconds until one who asks by a new connection is answered by `source`; some connections may wait for ever."""
    began = trio.current_time()
    load = Load(served.port, "/fruits", keep=False)
    with trio.fail_after(within):
        while source not in load.sources():
            with trio.move_on_after(0.1):
                await load.run(4)
    return trio.current_time() - began
