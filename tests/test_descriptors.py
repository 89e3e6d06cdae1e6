"""How many ports, connections and flows the machine allows, and what is reported when no descriptor is left."""

import errno
import logging

import pytest

from fastroute.descriptors import (
    REPEAT,
    RESERVE,
    Shortages,
    connections_afforded,
    explained,
    flows_afforded,
    is_shortage,
    ports_afforded,
    sockets_afforded,
)
from fastroute.shortage import Short


@pytest.mark.parametrize(
    ("limit", "per_port", "ports"),
    [(1_048_576, 4, 131_040), (4096, 2, 960), (1024, 2, 192), (512, 2, 64), (256, 2, 1), (64, 2, 1)],
)
def test_ports_leave_a_reserve(limit, per_port, ports):
    assert ports_afforded(limit, per_port) == ports
    if ports > 1:
        assert limit - 2 * ports * per_port >= RESERVE
    assert sockets_afforded(limit) <= limit


@pytest.mark.parametrize(
    ("limit", "ports", "connections"),
    [(1_048_576, 1024, 523_648), (65_536, 1024, 32_128), (1024, 192, 288), (256, 1, 1), (64, 1, 1)],
)
def test_clients_leave_descriptors_for_backends(limit, ports, connections):
    assert connections_afforded(limit, ports) == connections
    if connections > 1:
        assert RESERVE + ports + 2 * connections <= limit


@pytest.mark.parametrize(
    ("ports", "workers", "flows"), [(28_232, 1, 24_703), (28_232, 2, 12_351), (20, 2, 8), (1, 64, 1)]
)
def test_flows_leave_an_eighth_of_the_ports(ports, workers, flows):
    """The kernel needs very long to find one of the last."""
    assert flows_afforded(ports, workers) == flows
    if flows > 1:
        assert workers * flows <= ports * 7 / 8


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EMFILE, "ulimit -n"),
        (errno.ETOOMANYREFS, "ulimit -n"),
        (errno.ENFILE, "sysctl fs.file-max"),
        (errno.ENOMEM, "no memory"),
    ],
)
def test_a_shortage_says_what_to_do(number, words):
    error = OSError(number, "")
    assert is_shortage(error)
    assert words in explained(error)


def test_other_errors_are_none():
    assert not is_shortage(OSError(errno.ENOENT, ""))
    assert not is_shortage(ValueError())
    assert not is_shortage(None)
    assert explained(OSError(errno.ENOENT, "")) == "No such file or directory"
    assert explained(OSError("broken")) == "broken"


def test_each_is_counted_and_a_use_is_logged_once_in_a_while(caplog):
    counted, now = [], [0.0]
    shortages = Shortages(counted.append, lambda: now[0])
    with caplog.at_level(logging.ERROR):
        for time, use in ((0, "bind"), (1, "bind"), (2, "send"), (REPEAT, "bind")):
            now[0] = time
            shortages.note(use, f"{use} failed", OSError(errno.EMFILE, ""))
    assert counted == ["bind", "bind", "send", "bind"]
    assert [record.message.split(":")[0] for record in caplog.records] == ["bind failed", "send failed", "bind failed"]


def test_a_report_of_a_worker_says_what_to_do(caplog):
    shortages = Shortages(lambda use, times=1: None)
    for use in ("accept", "connect", "share"):
        shortages.note_report(3, Short(use, errno.EMFILE, 1))
    assert [record.message for record in caplog.records] == [
        "worker 3 cannot accept connections of clients: Too many open files: raise the limit of open files of fastroute"
        " (ulimit -n). fastroute will try again",
        "worker 3 cannot connect to a backend: Too many open files: raise the limit of open files of fastroute"
        " (ulimit -n)",
        "worker 3 refuses requests, because the routes of a namespace may have no more connections to backends: for"
        " more, raise the limit of open files of fastroute (ulimit -n) or add replicas",
    ]
