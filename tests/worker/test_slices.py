"""Installations in slices: the work of a worker between two turns of the engine, counted in steps, not in time."""

import socket
import time
import types

import msgspec
import pytest
from graph.secrets import chain, key_pem
from rig import Rig, listener, loopback, rule
from securebackend import CA

from fastroute.ext.memory.graveyard import collect
from fastroute.ext.reactor.counters import INSTALL_SLOT
from fastroute.publication import (
    Ack,
    Begin,
    Commit,
    Listen,
    Refused,
    RemoveBackend,
    RemoveCertificate,
    RemoveEndpoints,
    RemoveRule,
    SetEndpoints,
    Trouble,
    UpsertBackend,
    UpsertCertificate,
    UpsertListener,
    UpsertRule,
    publication,
    restored_backend,
)
from fastroute.snapshot import Backend, BackendTLS, Certificate, Endpoint, ListenerTLS, Match, PathMatch, ValueMatch
from fastroute.worker.installer import Installer
from fastroute.worker.slices import Slices

LONG = Certificate(chain("a.example.com") + 9 * chain("b", number=1), key_pem())


class Counted(Slices):
    """Counts the steps: after each of them traffic goes first if the time of the slice is up."""

    steps = 0

    async def step_aside(self) -> None:
        self.steps += 1

    async def let_traffic_by(self) -> None:
        self.steps += 1

    def taken(self) -> int:
        """The number of steps since the last call."""
        steps, self.steps = self.steps, 0
        return steps


@pytest.fixture
def slices():
    rig = Rig()
    rig.slices = Counted(rig.engine, rig.counters)
    rig.installer = Installer(rig.engine, rig.upstreams, rig.slices)
    yield rig
    rig.close()


async def install(rig, version, *changes):
    """Installs a publication on the version before; returns the number of steps until the Ack, and after it."""
    *opening, closing = publication(version, version - 1, changes)
    for message in opening:
        assert await rig.installer.obey(message) is None
    assert await rig.installer.obey(closing) == Ack(version)
    before = rig.slices.taken()
    await rig.installer.finish()
    return before, rig.slices.taken()


async def test_each_certificate_and_each_key_is_a_step(slices):
    ids = [f"c{i}" for i in range(8)]
    tls = ListenerTLS(certificates=tuple(ids))
    changes = [UpsertCertificate(id, LONG) for id in ids]
    steps, _ = await install(slices, 1, *changes, UpsertListener(listener(1, tls=tls)))
    assert steps >= 8 * 11
    steps, after = await install(slices, 2, *changes)
    assert steps >= 8 * 11
    assert after >= 8  # each of the old ones is freed in a step
    _, after = await install(slices, 3, *map(RemoveCertificate, ids))
    assert after >= 8


async def test_installations_are_counted_and_the_longest_slice_is_measured(slices):
    changes = UpsertListener(listener(1)), UpsertRule(msgspec.structs.replace(rule("a/x:80"), listener="listener"))
    for version in range(1, 4):
        slices.slices.begin()
        await install(slices, version, *changes)
        slices.slices.end()
    assert sum(slices.counters.histogram(INSTALL_SLOT)[1:]) == 3
    assert slices.counters.fixed()["worst_install_step"] > 0


async def test_the_cpu_time_of_an_installation_is_counted_without_traffic_and_without_what_comes_before(
    slices, monkeypatch
):
    """By a clock that advances by a second for each step of other work, and by 100 s for a turn of the engine."""
    cpu = 0.0

    def turn():
        nonlocal cpu
        cpu += 100.0
        return False

    def advance(*_):
        nonlocal cpu
        cpu += 1.0

    monkeypatch.setattr(time, "thread_time", lambda: cpu)
    one = Slices(types.SimpleNamespace(turn=turn, hurry=advance, wake=advance), slices.counters)
    one.begin()
    advance()  # frees what the last installation replaced
    one.begin_installation()
    for _ in range(3):
        advance()
        await one.let_traffic_by()
    advance()
    one.end()
    advance()  # waits for the next message
    one.begin()
    one.installed(1.0)
    assert slices.counters.fixed()["install_cpu"] == 4_000_000


def changed(**fields):
    return UpsertRule(msgspec.structs.replace(rule("a/x:80"), listener="listener", **fields))


async def test_each_expression_is_a_step_and_few_are_freed_at_once(slices):
    tests = [tuple(ValueMatch(f"h{i}", f"[a-z]{m}x{i}", "RegularExpression") for i in range(8)) for m in range(8)]
    paths = [Match(path=PathMatch("RegularExpression", f"/{i}[a-z]+"), rank=(i,)) for i in range(32)]
    headers = [Match(path=PathMatch("PathPrefix", ""), headers=test, rank=(i,)) for i, test in enumerate(tests, 32)]
    steps, _ = await install(slices, 1, UpsertListener(listener(1)), changed(matches=(*paths, *headers)))
    assert steps >= 32 + 64
    await install_only(slices, 2, RemoveRule(rule().id))
    pieces = 0
    while collect(1):
        pieces += 1
    assert pieces > 5


async def install_only(rig, version, *changes):
    """Installs a publication, and keeps what it replaces."""
    for message in publication(version, version - 1, changes):
        await rig.installer.obey(message)
    while rig.installer._waste:
        await rig.installer._in_steps(rig.installer._waste.pop())


async def test_a_large_rule_is_many_steps(slices):
    tests = tuple(ValueMatch(f"n{k}", "v" * 4096) for k in range(16))
    matches = tuple(Match(path=PathMatch("PathPrefix", ""), headers=tests, rank=(i,)) for i in range(20))
    small, _ = await install(slices, 1, UpsertListener(listener(1)), changed())
    large, _ = await install(slices, 2, changed(matches=matches))
    assert large - small >= 20


def addresses(count, first=0):
    return tuple(Endpoint(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", 80) for i in range(first, first + count))


async def test_many_endpoints_are_replaced_and_removed_in_steps(slices):
    steps, _ = await install(slices, 1, SetEndpoints("a/x:80", addresses(5000)), UpsertListener(listener(1)))
    assert steps >= 5000 // 16
    found = slices.upstreams.statistics()["a/x:80"]
    assert [label for label, *_ in found] == [f"{each.address}:80" for each in addresses(5000)]
    steps, _ = await install(slices, 2, SetEndpoints("a/x:80", addresses(5000, 2500)), UpsertListener(listener(1)))
    assert steps >= 2 * (5000 // 16)
    assert len(slices.upstreams.statistics()["a/x:80"]) == 5000
    _, after = await install(slices, 3, RemoveEndpoints("a/x:80"), UpsertListener(listener(1)))
    assert after >= 5000 // 16 - 1
    assert "a/x:80" not in slices.upstreams.statistics()


async def test_a_changed_backend_takes_effect_in_steps(slices):
    """With its endpoints if these change too, otherwise alone."""
    other = Backend(tls=BackendTLS(server_name="x", trust_anchors=CA))
    slices.upstreams.speak("a/x:80", other)
    both = UpsertBackend("a/x:80", Backend()), SetEndpoints("a/x:80", addresses(5000))
    steps, _ = await install(slices, 1, *both, UpsertListener(listener(1)))
    assert 5000 // 16 <= steps < 1.5 * (5000 // 16)
    assert slices.upstreams.pool_keys == 1
    slices.upstreams.speak("a/x:80", other)
    steps, _ = await install(slices, 2, UpsertBackend("a/x:80", Backend()))
    assert steps >= 2 * (5000 // 16)
    assert len(slices.upstreams.statistics()["a/x:80"]) == 5000
    assert slices.upstreams.pool_keys == 1
    steps, _ = await install(slices, 3, UpsertBackend("a/x:80", Backend()))
    assert steps < 100  # nothing changed


@pytest.mark.parametrize("more", [(), (SetEndpoints("a/x:80", addresses(3)),)], ids=["alone", "with endpoints"])
async def test_a_backend_that_it_cannot_speak_to_is_refused(slices, more):
    """Nothing is sent to it in another protocol instead."""
    for message in publication(1, 0, [UpsertBackend("a/x:80", Backend(protocol="h9")), *more]):
        answer = await slices.installer.obey(message)
    assert isinstance(answer, Refused)
    assert answer.reason.startswith("ValueError: 'h9' is no protocol of a backend")
    assert slices.upstreams.statistics().get("a/x:80", ()) == ()
    await slices.installer.finish()
    await install(slices, 1, UpsertBackend("a/x:80", Backend()), *more)
    assert len(slices.upstreams.statistics()["a/x:80"]) == 3 * len(more)


@pytest.mark.parametrize("more", [(), (SetEndpoints("a/x:80", addresses(3)),)], ids=["alone", "with endpoints"])
async def test_tls_that_is_not_possible_is_reported(slices, more):
    """The rest of the publication is installed. The backend gets a pool key of its own, so nothing is sent in
    cleartext."""
    wanted = Backend(tls=BackendTLS(server_name="x", trust_anchors=b"nothing"))
    answers = [
        await slices.installer.obey(message)
        for message in publication(1, 0, [SetEndpoints("a/x:80", addresses(2)), UpsertBackend("a/x:80", wanted), *more])
    ]
    [trouble] = [answer for answer in answers if isinstance(answer, Trouble)]
    assert trouble.text.startswith("no connection to backend a/x:80 is possible: CA certificate 1 cannot be read")
    assert isinstance(answers[-1], Ack)
    assert slices.upstreams.pool_keys == 2


async def test_messages_do_not_name_the_secret_of_a_gateway(slices):
    """It may be in a namespace that the owner of the backend does not know."""
    wanted = Backend(tls=BackendTLS(server_name="x", trust_anchors=b"nothing"))
    row = "a/x:80/@certs/edge"
    answers = [await slices.installer.obey(one) for one in publication(1, 0, [UpsertBackend(row, wanted)])]
    [trouble] = [answer for answer in answers if isinstance(answer, Trouble)]
    assert trouble.text.startswith("no connection to backend a/x:80 is possible: ")
    with pytest.raises(ValueError, match=r"^a/x:80 has a client certificate that was not sent"):
        restored_backend(UpsertBackend(row, wanted, certificate=1), {}, {})


async def test_trust_anchors_are_loaded_in_steps(slices):
    wanted = Backend(tls=BackendTLS(server_name="x", trust_anchors=CA * 100))
    steps, _ = await install(slices, 1, UpsertBackend("a/x:80", wanted), UpsertListener(listener(1)))
    assert steps >= 100
    again, _ = await install(slices, 2, UpsertBackend("a/y:80", wanted), UpsertListener(listener(1)))
    assert again < 50


async def test_backends_are_removed(slices):
    ids = ["a/x:80", "a/y:80"]
    endpoints = SetEndpoints(ids[0], addresses(3))
    await install(slices, 1, *(UpsertBackend(id, Backend()) for id in ids), endpoints, UpsertListener(listener(1)))
    assert sorted(slices.upstreams.statistics()) in (ids, ids[:1])
    await install(slices, 2, RemoveEndpoints(ids[0]), *(RemoveBackend(id) for id in ids))
    assert slices.upstreams.statistics() == {}
    await install(slices, 3, RemoveBackend(ids[0]), UpsertBackend(ids[0], Backend()), endpoints)
    assert len(slices.upstreams.statistics()[ids[0]]) == 3


async def test_parts_of_a_refused_publication_are_forgotten(slices):
    bad = (*addresses(1500), Endpoint("nowhere", 1))
    for message in (*publication(1, 0, [SetEndpoints("a/x:80", bad)]),):
        answer = await slices.installer.obey(message)
    assert isinstance(answer, Refused)
    await slices.installer.finish()
    await install(slices, 1, SetEndpoints("a/x:80", addresses(3)), UpsertListener(listener(1)))
    assert len(slices.upstreams.statistics()["a/x:80"]) == 3


async def test_each_socket_is_a_step(slices):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(40)]
    assert await slices.installer.obey(Begin(1, 0)) is None
    for port, one in enumerate(sockets):
        slices.installer.listen(Listen(loopback(port + 1), 0), one.detach())
    assert await slices.installer.obey(Commit(1)) == Ack(1)
    assert slices.slices.taken() >= 40
    assert slices.engine.statistics().listeners == 40


async def test_the_remains_of_many_hostnames_are_freed_in_steps(slices):
    names = tuple(f"h{i}.example.com" for i in range(3000))
    await install(slices, 1, UpsertListener(listener(1)), changed(hostnames=names))
    _, after = await install(slices, 2, changed(hostnames=tuple(f"i{i}.example.com" for i in range(3000))))
    assert after >= 6000 // 8
