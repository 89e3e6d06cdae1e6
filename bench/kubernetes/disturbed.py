"""Requests at a fixed rate while everything changes: endpoints 100 times a second, routes 10 times, a certificate once.

Loads with and without changes alternate; their requests are for a route that no change affects, and the ratio is that
of the medians. The changed routes are requested as well, and every response must be a valid one.

With two cores, the API server and the clients that make the changes would use most of the CPU time. That does not
happen in production, where the API server has its own machine. So these and the main process share one core and the
worker has the other; the load and the endpoints on that core have real-time priority, because they are not what is
measured.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import msgspec
from cluster.api import Api

from bench.certificate import secret
from bench.kubernetes.client import Answer, Client
from bench.kubernetes.world import HOSTS, NAMESPACE, endpoints, route
from bench.load import Latency, open_loop
from bench.peers import Running
from bench.process import cores, keep_on, proxy_and_load_core, set_urgent, tree

ROUNDS = 5
SECONDS = 6.0  # duration of one load
RATE = 1_000  # requests a second
CONNECTIONS = 32


class Disturbed(msgspec.Struct, frozen=True):
    quiet: tuple[Latency, ...]  # one per round
    disturbed: tuple[Latency, ...]
    changes: float  # per second, as many as the API server accepted
    asked: int  # requests for the changing routes
    wrong: int  # wrong answers to all requests

    @property
    def ratio(self) -> float:
        """The p99 with changes divided by the p99 without."""
        return median(each.p99 for each in self.disturbed) / median(each.p99 for each in self.quiet)


def measure_disturbed(api: Api, gateway: Running, worker: int, endpoints: int) -> Disturbed:
    """`gateway`: on port 80; `worker` and `endpoints` are pids; all other processes are descendants of this one."""
    other, core = proxy_and_load_core()

    def load() -> Latency:
        return open_loop(gateway, "/still/x", core, seconds=SECONDS, rate=RATE, connections=CONNECTIONS, urgent=True)

    with _apart(worker, endpoints, other, core):
        return _measure(api, load)


@contextmanager
def _apart(worker: int, endpoints: int, other: int, core: int) -> Iterator[None]:
    """Pins the processes to the cores. Afterwards the API server and the endpoints may use all cores again."""
    answering = tree(endpoints)
    all_cores = set(cores())
    for pid in tree(os.getpid()):
        keep_on(pid, {core} if pid == worker or pid in answering else {other})
    for pid in answering:
        set_urgent(pid, True)
    try:
        yield
    finally:
        for pid in answering:
            set_urgent(pid, False)
        for pid in {*tree(os.getpid())} - {*answering}:
            keep_on(pid, all_cores)


def _measure(api: Api, load: Callable[[], Latency]) -> Disturbed:
    load()
    quiet, disturbed, made, answers = [], [], 0, []
    for _ in range(ROUNDS):
        quiet.append(load())
        with _changing(api) as changes:
            disturbed.append(load())
        made += changes.made
        answers += changes.answers
    wrong = sum(map(_is_wrong, answers)) + sum(each.failures for each in (*quiet, *disturbed))
    return Disturbed(tuple(quiet), tuple(disturbed), made / (ROUNDS * SECONDS), len(answers), wrong)


def _is_wrong(answer: Answer) -> bool:
    return answer.status != 200 or answer.body not in HOSTS


class _Changes:
    """All changes at the same time, each kind in its own thread."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._over = threading.Event()
        self.made = 0
        self.answers: list[Answer] = []

    def endpoints(self, number: int) -> None:
        self._api.patch("EndpointSlice", NAMESPACE, "moving", {"endpoints": endpoints("ab"[number % 2])})

    def routes(self, number: int) -> None:
        self._api.apply(route(f"edited-{number % 5}", f"/edited-{number % 5}", "still", mark=number))

    def certificate(self, number: int) -> None:
        self._api.apply(secret("turning"))

    def repeat(self, change: Callable[[int], None], pause: float) -> None:
        number = 0
        due = time.monotonic()
        while not self._over.wait(max(due - time.monotonic(), 0)):
            change(number)
            self.made += 1
            number += 1
            due = max(due + pause, time.monotonic() - pause)

    def ask(self) -> None:
        with Client() as client:
            while not self._over.wait(0.01):
                self.answers += [client.ask("/moving/x"), client.ask("/edited-0/x")]

    def end(self) -> None:
        self._over.set()


@contextmanager
def _changing(api: Api) -> Iterator[_Changes]:
    changes = _Changes(api)
    changes.routes(0)
    time.sleep(0.2)
    work: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
        (changes.repeat, (changes.endpoints, 0.01)),
        (changes.repeat, (changes.routes, 0.1)),
        (changes.repeat, (changes.certificate, 1.0)),
        (changes.ask, ()),
    ]
    threads = [threading.Thread(target=target, args=arguments) for target, arguments in work]
    for thread in threads:
        thread.start()
    try:
        yield changes
    finally:
        changes.end()
        for thread in threads:
            thread.join()
