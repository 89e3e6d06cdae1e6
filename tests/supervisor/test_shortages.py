"""The Supervisor without free file descriptors: no socket or message is lost, and every operation is repeated."""

import errno
import os
import resource
import socket
from types import SimpleNamespace

import pytest
import trio
from load import PATIENCE
from supervisor.test_supervisor import pids, supervised

from fastroute.demo.pods import free_ports
from fastroute.descriptors import Shortages
from fastroute.supervisor import process
from fastroute.supervisor import supervisor as module


def shortages(rig, use):
    return rig.metrics.registry.get_sample_value("fastroute_descriptor_shortages_total", {"use": use})


async def test_a_socket_that_cannot_be_sent_for_want_of_a_descriptor_is_sent_later(monkeypatch, caplog):
    duplicate, failures = socket.socket.dup, 2

    def dup(one):
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return duplicate(one)

    monkeypatch.setattr(socket.socket, "dup", dup)
    monkeypatch.setattr(module, "RETRY", 0.02)
    async with supervised(1) as rig:
        await rig.supervisor.publish(rig.snapshot())
        assert await rig.sources() == {"x"}
        assert shortages(rig, "listen") == 2
    assert failures == 0
    assert f"worker 0 cannot accept connections at 127.0.0.1:{rig.port}: Too many open files" in caplog.text
    assert "ulimit -n" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees the descriptors of a worker")
async def test_a_worker_without_descriptors_gets_its_socket_when_it_has_one(monkeypatch, caplog):
    monkeypatch.setattr(module, "RETRY", 0.02)
    async with supervised(1) as rig:
        await rig.supervisor.publish(rig.snapshot())
        assert await rig.sources() == {"x"}
        (pid,), (port,) = pids(rig), free_ports(1)
        free = min(set(range(100)) - {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")})
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, hard))
        with trio.fail_after(PATIENCE):
            await rig.supervisor.publish(rig.snapshot(port=port))
            await rig.until(lambda: (shortages(rig, "listen") or 0) >= 2)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        assert await rig.sources(port) == {"x"}
        assert pids(rig) == [pid]
    assert f"worker 0 cannot accept connections at 127.0.0.1:{port}" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees the descriptors of a worker")
async def test_clients_for_whom_a_worker_has_no_descriptor_are_counted_and_wait(caplog):
    async with supervised(1) as rig:
        await rig.supervisor.publish(rig.snapshot())
        assert await rig.sources() == {"x"}
        (pid,) = pids(rig)
        free = min(set(range(100)) - {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")})
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, hard))
        async with await trio.open_tcp_stream("127.0.0.1", rig.port) as client:
            with trio.fail_after(PATIENCE):
                await rig.until(lambda: (shortages(rig, "accept") or 0) >= 1)
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
                await client.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert (await client.receive_some(100)).startswith(b"HTTP/1.1 ")
    [line] = [line for line in caplog.messages if "clients" in line]
    assert line.startswith("worker 0 cannot accept connections of clients: Too many open files")


class Stream:
    """A stream to a worker whose first sends fail."""

    def __init__(self, *failures):
        self.failures, self.sent = list(failures), []

    async def sendmsg(self, buffers, rights):
        await trio.lowlevel.checkpoint()
        if self.failures:
            raise OSError(self.failures.pop(0), "")
        self.sent.append((b"".join(buffers)[:3], len(rights)))
        return min(3, sum(map(len, buffers)))


async def test_a_message_with_too_many_descriptors_in_flight_is_sent_later(autojump_clock):
    counted, stream = [], Stream(errno.ETOOMANYREFS, errno.ENOBUFS)
    worker = process.Worker(0, SimpleNamespace(pid=1), stream, Shortages(counted.append))
    await worker.send_encoded(b"12345", 0)
    assert stream.sent == [(b"123", 1), (b"45", 0)]
    assert counted == ["send", "send"]
    gone = Stream(errno.EPIPE)
    await process.Worker(0, SimpleNamespace(pid=1), gone, Shortages(counted.append)).send_encoded(b"12345")
    assert gone.sent == []


async def test_a_process_for_which_there_is_no_descriptor_is_tried_again(monkeypatch, caplog):
    def none():
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(process.socket, "socketpair", none)
    monkeypatch.setattr(module, "FIRST_PATIENCE", 0.1)
    async with supervised(1) as rig:
        await rig.supervisor.publish(rig.snapshot())
        assert shortages(rig, "worker") >= 1
        monkeypatch.undo()
        await rig.until(lambda: rig.supervisor.ready)
    assert "it cannot be started: Too many open files: raise the limit" in caplog.text


def test_figures_of_a_worker_do_not_fall_for_want_of_a_descriptor(monkeypatch):
    counted = []
    worker = process.Worker(0, SimpleNamespace(pid=os.getpid()), None, Shortages(counted.append))
    before = worker.usage()
    assert before.memory > 0

    def none(*_, **__):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(process.Path, "read_text", none)
    assert worker.usage() == before
    assert counted == ["usage"]
