"""The Supervisor with real worker processes and hand-made snapshots."""

import os
import signal
import socket
from contextlib import asynccontextmanager
from types import SimpleNamespace

import msgspec
import pytest
import trio
from load import PATIENCE, Backend, Load, loaded, until
from supervisor.published import rule

from fastroute.demo.pods import free_ports
from fastroute.metrics import Metrics
from fastroute.place import Place, Transport
from fastroute.publication import Pong
from fastroute.settings import ServeSettings
from fastroute.snapshot import Bound, Endpoint, Failed, Listener, Match, PathMatch, Rule, Snapshot
from fastroute.supervisor import Supervisor, process
from fastroute.supervisor import supervisor as module
from fastroute.supervisor.parcel import Target

RULE = rule("a/one", "a/x:80", listener="L")


class Rig:
    """A running supervisor, and a backend for it."""

    def __init__(self, supervisor, metrics, backend):
        self.supervisor, self.metrics, self.backend = supervisor, metrics, backend
        (self.port,) = free_ports(1)

    def snapshot(self, *rules, port=None):
        place = Place(Transport.TCP, "127.0.0.1", port or self.port)
        listener = Listener(id="L", gateway="a/gw", name="http", place=place, spec_port=80, hostname="")
        return Snapshot(
            listeners={"L": listener},
            rules={one.id: one for one in rules or (RULE,)},
            endpoints={"a/x:80": (Endpoint("127.0.0.1", self.backend.port),)},
        )

    def value(self, name):
        return self.metrics.registry.get_sample_value(name)

    until = staticmethod(until)

    async def sources(self, port=None):
        async with loaded(Load(port or self.port, keep=False), 2) as load:
            await load.answered(20)
        assert load.breaks == []
        return set(load.sources())


@asynccontextmanager
async def supervised(workers=2, **settings):
    metrics = Metrics()
    backend = Backend("x")
    supervisor = Supervisor(ServeSettings(manifests=(), **settings), metrics, workers)
    async with trio.open_nursery() as nursery:
        await nursery.start(backend.serve)
        await nursery.start(supervisor.run)
        yield Rig(supervisor, metrics, backend)
        nursery.cancel_scope.cancel()


def pids(rig):
    return [worker.pid for worker in rig.supervisor._workers.values()]


async def test_what_is_published_is_served_by_every_worker_before_it_is_said():
    async with supervised() as rig:
        assert not rig.supervisor.ready
        outcome = await rig.supervisor.publish(rig.snapshot())
        assert outcome.complete
        assert rig.supervisor.ready
        assert outcome.listeners == {"L": Bound()}
        assert await rig.sources() == {"x"}
        outcome = await rig.supervisor.publish(rig.snapshot(rule("a/one", "a/gone:80", listener="L")))
        assert (outcome.version, outcome.target, outcome.complete) == (2, 2, True)
        assert await rig.sources() == {"503"}


async def test_an_equal_snapshot_is_no_new_version():
    async with supervised(1) as rig:
        await rig.supervisor.publish(rig.snapshot())
        assert (await rig.supervisor.publish(rig.snapshot())).target == 1
        assert rig.value("fastroute_config_version") == 1


async def test_an_empty_snapshot_is_a_complete_configuration():
    async with supervised(1) as rig:
        await rig.supervisor.publish(Snapshot())
        await rig.until(lambda: rig.supervisor.ready)


async def test_an_endpoint_that_is_none_ends_no_worker(caplog):
    async with supervised(1) as rig:
        await rig.supervisor.publish(rig.snapshot())
        before, endpoints = pids(rig), (Endpoint("127.0.0.1", rig.backend.port), Endpoint("127.0.0.1", 65_536))
        outcome = await rig.supervisor.publish(msgspec.structs.replace(rig.snapshot(), endpoints={"a/x:80": endpoints}))
        assert not outcome.complete
        assert "65536 is no endpoint" in caplog.text
        assert (await rig.sources(), pids(rig)) == ({"x"}, before)
        assert (await rig.supervisor.publish(rig.snapshot())).complete


async def test_a_port_that_is_taken_is_said_and_bound_as_soon_as_it_is_free(monkeypatch):
    monkeypatch.setattr(module, "RETRY", 0.1)
    async with supervised(1) as rig:
        changes = []
        with socket.create_server(("127.0.0.1", rig.port)):
            outcome = await rig.supervisor.publish(rig.snapshot())
            assert isinstance(outcome.listeners["L"], Failed)
            assert "in use" in outcome.listeners["L"].reason
            await rig.until(lambda: rig.supervisor.ready)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(rig.supervisor.watch, lambda: changes.append(rig.supervisor.outcome))
                await trio.sleep(0.3)
                assert changes == []
                nursery.cancel_scope.cancel()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.supervisor.watch, lambda: changes.append(rig.supervisor.outcome))
            await rig.until(lambda: changes)
            nursery.cancel_scope.cancel()
        assert changes[0].listeners == {"L": Bound()}
        await rig.until(lambda: rig.supervisor._workers[0].sockets)
        assert await rig.sources() == {"x"}


async def test_a_listener_that_moves_is_served_at_its_new_port_and_nowhere_else():
    async with supervised() as rig:
        await rig.supervisor.publish(rig.snapshot())
        (other,) = free_ports(1)
        async with loaded(Load(rig.port), 4) as kept:
            await kept.answered(4)
            await rig.supervisor.publish(rig.snapshot(port=other))
            assert await rig.sources(other) == {"x"}
        assert kept.breaks == []
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", rig.port), PATIENCE)
        await rig.supervisor.publish(rig.snapshot())
        assert await rig.sources() == {"x"}


async def test_a_listener_that_moves_between_addresses_of_one_port_is_not_in_its_own_way():
    async with supervised() as rig:
        one = rig.snapshot()
        for address in ("0.0.0.0", "127.0.0.1", "0.0.0.0"):
            listener = msgspec.structs.replace(one.listeners["L"], place=Place(Transport.TCP, address, rig.port))
            outcome = await rig.supervisor.publish(msgspec.structs.replace(one, listeners={"L": listener}))
            assert outcome.listeners == {"L": Bound()}
            assert await rig.sources() == {"x"}


async def test_what_workers_refuse_leaves_the_version_before_and_the_next_one_is_whole(caplog):
    async with supervised(1) as rig:
        await rig.supervisor.publish(rig.snapshot())
        match = Match(path=PathMatch("RegularExpression", "("), rank=(0,))
        broken = Rule(**{name: getattr(RULE, name) for name in RULE.__struct_fields__} | {"matches": (match,)})
        outcome = await rig.supervisor.publish(rig.snapshot(broken))
        assert (outcome.version, outcome.target) == (1, 2)
        assert await rig.sources() == {"x"}
        assert sum("refused version 2" in record.message for record in caplog.records) == 2
        outcome = await rig.supervisor.publish(rig.snapshot(rule("a/one", "a/gone:80", listener="L")))
        assert outcome.version == 3
        assert await rig.sources() == {"503"}


async def test_the_current_folder_has_no_modules_for_workers(tmp_path, monkeypatch):
    (tmp_path / "trio.py").write_text("raise SystemExit('not the real one')")
    monkeypatch.chdir(tmp_path)
    async with supervised(1) as rig:
        assert (await rig.supervisor.publish(rig.snapshot())).version == 1


async def test_a_worker_that_never_starts_is_tried_again_and_again_but_not_in_a_rush(monkeypatch):
    monkeypatch.setattr(process.sys, "executable", "/bin/false")
    monkeypatch.setattr(module, "FIRST_PATIENCE", 0.1)
    began = trio.current_time()  # a lower bound: a busy machine only takes longer
    async with supervised(1) as rig:
        assert (await rig.supervisor.publish(rig.snapshot())).version == 0
        await rig.until(lambda: rig.value("fastroute_worker_restarts_total") >= 4)
        assert trio.current_time() - began >= sum(module.BACK_OFF[:3])
        assert not rig.supervisor.ready


async def test_a_worker_that_does_not_answer_is_late_and_then_replaced(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    monkeypatch.setattr(module, "STUCK", 5.0)  # long enough for the other worker, even on a busy machine
    async with supervised() as rig:
        await rig.supervisor.publish(rig.snapshot())
        before = pids(rig)
        os.kill(before[0], signal.SIGSTOP)
        outcome = await rig.supervisor.publish(rig.snapshot(rule("a/one", "a/gone:80", listener="L")))
        assert (outcome.version, outcome.target) == (1, 2)
        monkeypatch.setattr(module, "PATIENCE", 3600.0)  # a worker that is late already is not waited for
        with trio.fail_after(PATIENCE):
            await rig.supervisor.publish(rig.snapshot())
        await rig.until(lambda: before[0] not in pids(rig))
        monkeypatch.setattr(module, "STUCK", 30.0)  # the replacement may start slowly
        await rig.until(lambda: rig.supervisor.outcome.version == 3)
        await rig.until(lambda: len(rig.supervisor._serving()) == 2)
        assert rig.value("fastroute_worker_restarts_total") == 1
        assert await rig.sources() == {"x"}


async def test_a_worker_that_stands_still_is_found_without_a_publication_and_others_are_left_alone(monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT", 0.1)
    async with supervised() as rig:
        await rig.supervisor.publish(rig.snapshot())
        await trio.sleep(0.5)
        stopped, other = pids(rig)
        monkeypatch.setattr(module, "STUCK", 5.0)
        os.kill(stopped, signal.SIGSTOP)
        await rig.until(lambda: stopped not in pids(rig))
        monkeypatch.setattr(module, "STUCK", 30.0)
        await rig.until(lambda: len(rig.supervisor._serving()) == 2)
        assert other in pids(rig)
        assert rig.value("fastroute_worker_restarts_total") == 1


async def test_a_worker_with_a_long_installation_is_not_replaced_while_it_reports_progress(autojump_clock):
    async def messages():
        for _ in range(5):
            await trio.sleep(module.STUCK - 1)
            yield Pong()
        await trio.sleep_forever()

    killed = []
    worker = SimpleNamespace(
        slot=0, messages=messages, patience=trio.CancelScope(), kill=lambda: killed.append(trio.current_time())
    )
    supervisor = Supervisor(ServeSettings(manifests=()), Metrics(), 1)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor._hear, worker)
        async with supervisor._replaced_when_stuck(worker):
            await trio.sleep_forever()
        nursery.cancel_scope.cancel()
    assert killed == [pytest.approx(began + 5 * (module.STUCK - 1) + module.STUCK)]


async def test_a_worker_that_takes_no_sockets_is_replaced(autojump_clock, monkeypatch):
    async def send(*_):
        pass

    async def wait(_):  # the stream is full
        await trio.sleep_forever()

    supervisor = Supervisor(ServeSettings(manifests=()), Metrics(), 1)
    supervisor._target = Target(1, Snapshot())
    monkeypatch.setattr(supervisor, "_bring_sockets", wait)
    killed = trio.Event()
    worker = SimpleNamespace(slot=0, version=1, refused=0, send=send, patience=trio.CancelScope(), kill=killed.set)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor._feed, worker)
        with trio.fail_after(PATIENCE):
            await killed.wait()
        nursery.cancel_scope.cancel()
    assert trio.current_time() == pytest.approx(began + module.STUCK)


async def test_a_stream_that_makes_no_sense_ends_the_worker(caplog):
    async with supervised(1) as rig:
        await rig.supervisor.publish(rig.snapshot())
        (before,) = pids(rig)
        await rig.supervisor._workers[0].send_encoded(b"\xff\xff\xff\xff")
        await rig.until(lambda: rig.value("fastroute_worker_restarts_total") == 1 and rig.supervisor._serving())
        assert before not in pids(rig)
        assert await rig.sources() == {"x"}


async def test_the_only_workers_queue_waits_for_its_replacement():
    async with supervised(1) as rig:
        await rig.supervisor.publish(rig.snapshot())
        os.kill(pids(rig)[0], signal.SIGKILL)
        async with loaded(Load(rig.port, keep=False), 4) as load:
            await rig.until(lambda: len(load.answers) > 8)
        assert set(load.sources()) == {"x"}
        assert len(load.breaks) <= 4


async def test_what_no_rule_takes_counts_for_its_listener_whatever_worker_or_publication_goes():
    nowhere = msgspec.structs.replace(RULE, matches=(Match(path=PathMatch("PathPrefix", "/only"), rank=()),))
    labels = dict.fromkeys(("route", "route_kind", "rule", "backend"), "")
    labels |= {"gateway": "a/gw", "listener": "http", "code": "404"}
    answers = 0
    async with supervised(1) as rig:

        async def ask():
            nonlocal answers
            async with loaded(Load(rig.port, keep=False), 1) as load:
                await rig.until(lambda: load.answers)
            assert (load.breaks, set(load.sources())) == ([], {"404"})
            answers += len(load.answers)
            value = rig.metrics.registry.get_sample_value
            await rig.until(lambda: value("fastroute_http_requests_total", labels) == answers)

        await rig.supervisor.publish(rig.snapshot(nowhere))
        await ask()
        os.kill(pids(rig)[0], signal.SIGKILL)
        await rig.until(lambda: rig.value("fastroute_worker_restarts_total") == 1 and rig.supervisor._serving())
        await ask()
        await rig.supervisor.publish(Snapshot())
        await rig.supervisor.publish(rig.snapshot(nowhere))
        await rig.until(lambda: rig.supervisor.outcome.listeners == {"L": Bound()})
        await ask()


async def test_a_drain_ends_every_worker_and_run_returns():
    metrics, backend = Metrics(), Backend("x")
    supervisor = Supervisor(ServeSettings(manifests=()), metrics, 2)
    async with trio.open_nursery() as nursery:
        await nursery.start(backend.serve)
        async with trio.open_nursery() as running:
            await running.start(supervisor.run)
            rig = Rig(supervisor, metrics, backend)
            await supervisor.publish(rig.snapshot())
            with trio.fail_after(PATIENCE):
                await supervisor.drain()
            assert not supervisor.ready
        assert pids(rig) == []
        assert metrics.registry.get_sample_value("fastroute_worker_restarts_total") == 0
        nursery.cancel_scope.cancel()


async def test_a_process_that_cannot_be_started_is_tried_again(monkeypatch, caplog):
    monkeypatch.setattr(process.sys, "executable", "/no/such/python")
    monkeypatch.setattr(module, "FIRST_PATIENCE", 0.1)
    async with supervised(1) as rig:
        await rig.supervisor.publish(rig.snapshot())
        assert not rig.supervisor.ready
        monkeypatch.undo()
        await rig.until(lambda: rig.supervisor.ready)
    assert "it cannot be started: No such file or directory" in caplog.text


async def test_a_drain_is_not_held_up_by_a_worker_that_stands_still_and_publishes_nothing_more():
    async with supervised(2, drain_timeout=0.2) as rig:
        await rig.supervisor.publish(rig.snapshot())
        os.kill(pids(rig)[0], signal.SIGSTOP)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(rig.supervisor.drain)
                await trio.sleep(0.1)
                outcome = await rig.supervisor.publish(rig.snapshot(port=1))
        assert outcome.target == 1
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", rig.port), PATIENCE)


async def test_a_worker_never_gets_a_file_that_only_has_the_number_of_its_socket():
    """While the worker's stream is full, a place may be removed and its descriptor reused for another file."""
    supervisor = Supervisor(ServeSettings(manifests=()), Metrics(), 1)
    (port,), sent = free_ports(1), []

    class Slow:
        slot, sockets, lost = 0, {}, set()

        async def send(self, message, descriptor):
            supervisor._sockets.follow([])
            supervisor._sockets.close_retired()
            anywhere = ("127.0.0.1", 0)
            with socket.create_server(anywhere), socket.create_server(anywhere):  # takes the free numbers
                await trio.lowlevel.checkpoint()
                with socket.socket(fileno=os.dup(descriptor)) as given:
                    sent.append(given.getsockname()[1])

    supervisor._sockets.follow([Place(Transport.TCP, "127.0.0.1", port)])
    await supervisor._bring_sockets(Slow())
    assert sent == [port]


async def test_a_log_that_cannot_be_opened_again_is_logged_and_a_replacement_writes_to_the_old_file(tmp_path, caplog):
    folder = tmp_path / "logs"
    folder.mkdir()
    async with supervised(1, access_log=str(folder / "log")) as rig:
        await rig.supervisor.publish(rig.snapshot())
        folder.rename(tmp_path / "moved")
        await rig.supervisor.reopen_log()
        assert "the workers continue to write to the old file" in caplog.text
        (before,) = pids(rig)
        os.kill(before, signal.SIGKILL)
        await rig.until(lambda: before not in pids(rig) and rig.supervisor.ready)
        assert await rig.sources() == {"x"}
        await rig.until(lambda: (tmp_path / "moved" / "log").stat().st_size > 0)
        folder.mkdir()
        await rig.supervisor.reopen_log()
        assert await rig.sources() == {"x"}
        await rig.until(lambda: (folder / "log").exists() and (folder / "log").stat().st_size > 0)


async def test_without_a_log_opening_it_again_does_nothing():
    async with supervised(1) as rig:
        await rig.supervisor.reopen_log()
        assert (await rig.supervisor.publish(rig.snapshot())).complete
