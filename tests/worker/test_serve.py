"""A complete worker, run in the test's process; the test acts as the main process."""

import array
import gc
import json
import os
import socket
from collections import Counter
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import NamedTuple

import msgspec
import trio
from load import PATIENCE, Backend, Load, loaded, until
from rig import loopback

from fastroute.publication import (
    Ack,
    AnnounceDrain,
    Begin,
    Commit,
    Drain,
    Drained,
    EndpointUpdate,
    Listen,
    Ping,
    Pong,
    Refused,
    RemoveEndpoints,
    RemoveListener,
    RemoveRule,
    SetEndpoints,
    Start,
    Trouble,
    Unlisten,
    UpsertListener,
    UpsertRule,
    Upward,
    WriteLog,
)
from fastroute.settings import Limits
from fastroute.snapshot import Endpoint, Listener, Match, PathMatch, Rule, WeightedBackend
from fastroute.supervisor.memory import counter_memory
from fastroute.traces.record import Reader
from fastroute.wire import Decoder, encode
from fastroute.worker import serve as serve_module
from fastroute.worker.control import ControlStream
from fastroute.worker.serve import serve


def listener(port):
    return Listener(id="L", gateway="a/gw", name="http", place=loopback(port), spec_port=80, hostname="")


def rule(path="", backend="a/x:80", kind="PathPrefix"):
    return Rule(
        id="L|HTTPRoute|a/r|0",
        listener="L",
        hostnames=("",),
        gateway="a/gw",
        listener_name="http",
        route="a/r",
        route_kind="HTTPRoute",
        name="0",
        matches=(Match(path=PathMatch(kind, path), rank=(0,)),),
        backends=(WeightedBackend(weight=1, backend=backend),),
    )


class Main(NamedTuple):
    """The main process's end of the stream."""

    socket: trio.socket.SocketType
    decoder: Decoder[Upward]
    listening: socket.socket
    backend: Backend
    counters: object

    @property
    def port(self):
        return self.listening.getsockname()[1]

    async def say(self, *messages):
        for message in messages:
            await self.send(message, *([self.listening.fileno()] if isinstance(message, Listen) else []))

    async def send(self, message, *fds):
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        await self.socket.sendmsg([encode(message)], beside)

    async def hear(self):
        with trio.fail_after(PATIENCE):
            while (message := self.decoder.next_message()) is None:
                data = await self.socket.recv(4096)
                if not data:
                    return None
                self.decoder.feed(data)
            return message

    async def ask(self, *messages):
        await self.say(*messages)
        return await self.hear()

    def whole(self, version=1, base=0, *more):
        """All messages needed to serve, and `more`."""
        endpoints = SetEndpoints("a/x:80", (Endpoint("127.0.0.1", self.backend.port),))
        listen = Listen(loopback(self.port), 0)
        return (
            Begin(version, base),
            endpoints,
            UpsertListener(listener(self.port)),
            UpsertRule(rule()),
            listen,
            *more,
            Commit(version),
        )

    async def answers(self, count=3, path="/"):
        """The sources of `count` responses, each over a new connection."""
        load = Load(self.port, path, keep=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load.run, 1)
            await load.answered(count)
            load.stop()
        assert load.breaks == []
        return set(load.sources())


@asynccontextmanager
async def started(log=None, limits=None, traces=None):
    """A worker that has received Start. `log`, `traces`: descriptors of the access log and of sampled requests."""
    written = [*([] if log is None else [log]), os.open(os.devnull, os.O_WRONLY) if traces is None else traces]
    ours, theirs = socket.socketpair()
    memory = counter_memory(10)
    backend = Backend("x")
    listening = socket.create_server(("127.0.0.1", 0))
    main = Main(trio.socket.from_stdlib_socket(ours), Decoder[Upward](Upward), listening, backend, memory.counters)
    start = Start(
        limits=limits or Limits(),
        request_series=memory.counters.requests,
        histograms=memory.counters.histograms,
        access_log=log is not None,
        traced=traces is not None,
        trace_sampling=1.0,
    )
    with ours, listening, ControlStream(trio.socket.from_stdlib_socket(theirs)) as control:
        async with trio.open_nursery() as nursery:
            await nursery.start(backend.serve)
            await main.send(start, memory.fd, *written)
            memory.close()
            for fd in written:
                os.close(fd)
            nursery.start_soon(serve, control)
            yield main
            nursery.cancel_scope.cancel()


async def test_it_serves_what_is_published_and_acknowledges_it():
    async with started() as main:
        assert await main.ask(*main.whole()) == Ack(1)
        assert await main.answers() == {"x"}
        assert main.counters.fixed()["connections_accepted"] >= 3


async def test_new_endpoints_touch_nothing_else():
    async with started() as main:
        await main.ask(*main.whole())
        assert await main.ask(EndpointUpdate(2, 1, {"a/x:80": ()})) == Ack(2)
        assert await main.answers() == {"503"}
        assert await main.ask(EndpointUpdate(3, 1, {})) == Refused(3, "version 2 is installed, not 1")


async def test_a_publication_on_a_version_it_does_not_hold_is_refused_and_the_old_one_serves():
    async with started() as main:
        await main.ask(*main.whole())
        refused = await main.ask(Begin(9, 8), RemoveRule(rule().id), Commit(9))
        assert refused == Refused(9, "it starts from version 8, version 1 is installed")
        assert await main.answers() == {"x"}


async def test_what_cannot_be_made_into_tables_is_refused_and_the_whole_mends_it():
    async with started() as main:
        await main.ask(*main.whole())
        broken = await main.ask(Begin(2, 1), UpsertRule(rule("(", kind="RegularExpression")), Commit(2))
        assert isinstance(broken, Refused)
        assert broken.version == 2
        assert await main.answers() == {"x"}
        endpoints = SetEndpoints("a/y:80", (Endpoint("127.0.0.1", main.backend.port),))
        whole = (Begin(3, 0), endpoints, UpsertListener(listener(main.port)), UpsertRule(rule(backend="a/y:80")))
        assert await main.ask(*whole, Commit(3)) == Ack(3)
        assert await main.answers() == {"x"}
        assert await main.ask(Begin(4, 3), UpsertRule(rule(backend="a/x:80")), Commit(4)) == Ack(4)
        assert await main.answers() == {"503"}


async def test_what_is_removed_is_let_go():
    async with started() as main:
        await main.ask(*main.whole())
        gone = (RemoveRule(rule().id), RemoveListener("L"), RemoveEndpoints("a/x:80"))
        assert await main.ask(Begin(2, 1), *gone, Commit(2)) == Ack(2)
        assert await main.answers() == {"404"}


async def test_a_backend_that_leaves_and_is_set_again_stays():
    async with started() as main:
        await main.ask(*main.whole())
        endpoints = SetEndpoints("a/x:80", (Endpoint("127.0.0.1", main.backend.port),))
        assert await main.ask(Begin(2, 1), RemoveEndpoints("a/x:80"), endpoints, Commit(2)) == Ack(2)
        assert await main.answers() == {"x"}


async def test_a_socket_is_given_back_at_once_outside_a_publication_and_may_come_again():
    async with started() as main:
        await main.ask(*main.whole())
        key = (loopback(main.port), 0)
        for version in (2, 3):
            assert await main.ask(Unlisten(*key), EndpointUpdate(version, version - 1, {})) == Ack(version)
            with trio.move_on_after(0.2) as unanswered:
                await main.answers(1)
            assert unanswered.cancelled_caught
            await main.say(Listen(*key))
        assert await main.answers() == {"x"}
        await main.say(Unlisten(loopback(main.port), 7))
        assert await main.answers() == {"x"}


async def test_a_socket_is_given_back_when_its_publication_is_installed():
    async with started() as main:
        await main.ask(*main.whole())
        await main.say(Begin(2, 1), Unlisten(loopback(main.port), 0))
        assert await main.answers() == {"x"}
        assert await main.ask(Commit(2)) == Ack(2)
        with trio.move_on_after(0.2) as unanswered:
            await main.answers(1)
        assert unanswered.cancelled_caught


async def test_it_drains_when_told_and_when_main_is_gone():
    async with started() as main:
        await main.ask(*main.whole())
        assert await main.ask(AnnounceDrain(), Ping()) == Pong()
        async with loaded(Load(main.port), 1) as load:
            await load.answered(3)
        assert load.closing == len(load.answers) > 0
        assert await main.ask(Drain()) == Drained()
    async with started() as main:
        await main.ask(*main.whole())
        main.socket.shutdown(socket.SHUT_WR)
        assert await main.hear() == Drained()


async def test_a_stream_that_makes_no_sense_drains_too():
    async with started() as main:
        await main.ask(*main.whole())
        await main.socket.send(b"\xff\xff\xff\xff")
        assert await main.hear() == Drained()


async def test_it_says_that_it_still_obeys():
    async with started() as main:
        assert await main.ask(Ping()) == Pong()


async def test_it_reports_progress_during_a_long_installation(monkeypatch):
    monkeypatch.setattr(serve_module, "_PROGRESS", 0.001)
    rules = [UpsertRule(msgspec.structs.replace(rule(), id=f"a/r/{i}", route=f"a/r{i}")) for i in range(2000)]
    async with started() as main:
        answer = await main.ask(*main.whole(1, 0, *rules))
        signs = 0
        while answer == Pong():
            signs += 1
            answer = await main.hear()
        assert answer == Ack(1)
        assert signs > 0
        assert await main.answers() == {"x"}


async def test_it_reports_no_progress_while_an_installation_waits(autojump_clock):
    told = []

    async def send(message):
        told.append(message)

    slices = SimpleNamespace(busy=True, count=0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_module.report_progress, slices, SimpleNamespace(send=send))
        await trio.sleep(3.5 * serve_module._PROGRESS)
        assert told == []
        slices.count += 1
        await trio.sleep(2 * serve_module._PROGRESS)
        assert told == [Pong()]
        nursery.cancel_scope.cancel()


async def test_a_second_start_is_trouble():
    async with started() as main:
        answer = await main.ask(Start(limits=Limits(), request_series=1, histograms=2))
        assert answer == Trouble("a worker starts once")


async def test_without_a_start_it_does_not_begin():
    ours, theirs = socket.socketpair()
    with ours, ControlStream(trio.socket.from_stdlib_socket(theirs)) as control:
        ours.sendall(encode(Drain()))
        with trio.fail_after(PATIENCE):
            await serve(control)


async def test_the_log_is_written_replaced_and_closed(tmp_path):
    old, new = opened(tmp_path / "old"), opened(tmp_path / "new")
    async with started(old) as main:
        await main.ask(*main.whole())
        await main.answers(1)
        await main.send(WriteLog(), new)
        await main.answers(1)
        assert await main.ask(Drain()) == Drained()
    os.close(new)
    for file in (tmp_path / "old", tmp_path / "new"):
        assert {json.loads(line)["backend"] for line in file.read_bytes().splitlines()} == {"a/x:80"}


def opened(path):
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


async def test_lost_lines_are_counted(monkeypatch):
    monkeypatch.setattr(serve_module, "_REPORT", 0.05)
    async with started(os.open("/dev/full", os.O_WRONLY)) as main:
        await main.ask(*main.whole())
        await main.answers(3)
        await until(lambda: main.counters.fixed()["log_dropped"] >= 3)


async def test_sampled_requests_are_written_beside_the_log(tmp_path):
    log, traces = opened(tmp_path / "log"), opened(tmp_path / "traces")
    async with started(log, traces=traces) as main:
        await main.ask(*main.whole())
        await main.answers(2)
        assert await main.ask(Drain()) == Drained()
    found = Reader().read((tmp_path / "traces").read_bytes())
    lines = [json.loads(line) for line in (tmp_path / "log").read_bytes().splitlines()]
    assert {one.trace_id for one in found} == {line["trace_id"] for line in lines}
    assert len(found) == len(lines) >= 2


async def test_lost_traces_are_counted(monkeypatch):
    monkeypatch.setattr(serve_module, "_REPORT", 0.05)
    async with started(traces=os.open("/dev/full", os.O_WRONLY)) as main:
        await main.ask(*main.whole())
        await main.answers(3)
        await until(lambda: main.counters.fixed()["traces_dropped"] >= 3)
        assert main.counters.fixed()["log_dropped"] == 0


async def test_refused_connections_are_reported_once_in_a_while(monkeypatch):
    monkeypatch.setattr(serve_module, "_REPORT", 0.05)
    async with started(limits=Limits(max_connections_per_client=1)) as main:
        await main.ask(*main.whole())
        with socket.create_connection(("127.0.0.1", main.port)):
            for number in range(1, 4):
                with socket.create_connection(("127.0.0.1", main.port)):
                    await until(lambda number=number: main.counters.fixed()["refused_client"] == number)
            said = await main.hear()
            assert isinstance(said, Trouble)
            assert said.text.endswith(
                "the last one from 127.0.0.1: an address may have 1 (--max-connections-per-client)"
            )
            assert await main.ask(Ping()) == Pong()  # no further report


def rules(version, size):
    """`size` rules, different in each version."""
    for i in range(size):
        yield msgspec.structs.replace(rule(f"/{version}/{i}"), id=f"L|HTTPRoute|a/r{i}|0", route=f"a/r{i}")


class Steps(trio.abc.Instrument):
    """The number of steps of each task: other tasks may run between two steps."""

    def __init__(self):
        self.made = Counter()

    def after_task_step(self, task):
        self.made[task.name] += 1


async def test_a_stream_of_installs_holds_traffic_up_for_slices_only():
    steps = Steps()
    async with started() as main:
        await main.ask(*main.whole())
        load = Load(main.port)
        load.pause = 0.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load.run, 2)
            trio.lowlevel.add_instrument(steps)
            turned = main.counters.fixed()["turns"]
            for version in range(2, 7):
                messages = (Begin(version, version - 1), *map(UpsertRule, rules(version, 2000)), Commit(version))
                await trio.SocketStream(main.socket).send_all(b"".join(map(encode, messages)))
                while await main.hear() != Ack(version):  # under load, a Pong may come before it
                    pass
            trio.lowlevel.remove_instrument(steps)
            turned = main.counters.fixed()["turns"] - turned
            load.stop()
    assert load.breaks == []
    assert set(load.sources()) == {"x"}
    assert steps.made["fastroute.worker.serve.serve"] > 50
    assert turned > 200  # turns of the engine, most of them between the slices of a step


async def test_what_arrives_during_an_installation_is_installed_after_it():
    """Each publication as a whole, in the order in which they were sent."""
    async with started() as main:
        await main.ask(*main.whole())
        steps = [(version, "/old" if version % 2 else "/new") for version in range(2, 8)]
        stream = [
            encode(message)
            for version, path in steps
            for message in (
                Begin(version, version - 1),
                *map(UpsertRule, rules(version, 500)),
                *([RemoveRule(f"L|HTTPRoute|a/r{i}|0") for i in range(400, 500)] if version % 2 else []),
                UpsertRule(rule(path)),
                Commit(version),
            )
        ]
        await trio.SocketStream(main.socket).send_all(b"".join(stream))
        for version, _ in steps:
            assert await main.hear() == Ack(version)
        assert await main.answers(path="/old") == {"x"}
        assert await main.answers(path="/7/399") == {"x"}
        assert await main.answers(path="/new") == {"404"}
        assert await main.answers(path="/7/400") == {"404"}
        assert await main.answers(path="/6/399") == {"404"}


async def test_serving_makes_nothing_that_only_a_garbage_collection_would_free():
    """So a worker can disable garbage collection, which would interrupt traffic."""
    async with started() as main:
        await main.ask(*main.whole())
        gc.collect()
        gc.disable()
        try:
            for version in range(2, 6):
                await main.ask(Begin(version, version - 1), *map(UpsertRule, rules(version, 20)), Commit(version))
            await main.ask(EndpointUpdate(6, 5, {"a/x:80": (Endpoint("127.0.0.1", main.backend.port),)}))
            assert gc.collect() == 0
        finally:
            gc.enable()
