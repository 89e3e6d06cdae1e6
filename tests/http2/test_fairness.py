"""Streams of one connection share it, and connections share the turns, however many streams they have: by counts of
bytes and of answers, because times depend on the machine."""

import socket

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
import trio
from http2.client import Session, client, head
from peer import Peer
from rig import GET, OK, PLAIN, backends, rule, running
from steps import client as opened
from steps import settle, standing, turns_until

pytestmark = pytest.mark.usefixtures("transport")

BULK = 4 << 20
SETTINGS = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20}
BESIDE = 2 << 20  # bytes of content of other streams that may come before a small answer: windows, batch, kernel


async def bulk(peer: Peer) -> None:
    while True:
        head, _ = await peer.request()
        if b"/bulk" in head:
            await peer.stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BULK + bytes(BULK))
        else:
            await peer.send(OK)


async def widen(session: Session) -> None:
    """The window of the connection is larger than those of its streams together."""
    session.link.increment_flow_control_window(16 << 20)
    await session.flush()


@pytest.mark.parametrize("number", [2, 5])
async def test_bulk_answers_share_a_connection(number: int) -> None:
    async with backends(bulk) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port, settings=SETTINGS) as session:
            await widen(session)
            asks = [await session.ask(path="/bulk") for _ in range(number)]
            await session.until(lambda: all(ask.body for ask in asks))
            before = [len(ask.body) for ask in asks]
            await session.until(
                lambda: any(len(ask.body) > BULK // 2 + size for ask, size in zip(asks, before, strict=True))
            )
            gained = [len(ask.body) - size for ask, size in zip(asks, before, strict=True)]
            assert min(gained) > max(gained) / 3, (before, gained)
            for ask in asks:
                assert len((await ask.response())[2]) == BULK


async def test_a_small_answer_beside_a_large_one() -> None:
    async with backends(bulk) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port, settings=SETTINGS) as session:
            await widen(session)
            large = await session.ask(path="/bulk")
            await session.until(lambda: len(large.body) > 1 << 20)
            passed = []
            while not large.over and len(passed) < 8:
                before = len(large.body)
                assert (await (await session.ask()).response())[0] == 200
                passed.append(len(large.body) - before)
            assert sorted(passed)[len(passed) // 2] < BESIDE


async def test_a_small_answer_beside_an_upload() -> None:
    """Counted in bytes of the upload that the backend takes between a request and its answer."""
    taken = 0

    async def taking(peer: Peer) -> None:
        nonlocal taken
        while b"/bulk" not in await peer.head():
            await peer.send(OK)
        while taken < BULK:
            taken += len(peer.buffer)
            peer.buffer = b""
            if taken < BULK:
                await peer.more()
        await peer.send(OK)

    async with backends(taking) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session, trio.open_nursery() as nursery:
            large = await session.ask("POST", "/bulk", [("content-length", str(BULK))], end=False)
            nursery.start_soon(large.send, bytes(BULK), True)
            while taken < BULK // 8:
                await trio.lowlevel.checkpoint()
            passed = []
            while taken < BULK // 2 and len(passed) < 8:
                before = taken
                assert (await (await session.ask()).response())[0] == 200
                passed.append(taken - before)
            assert sorted(passed)[len(passed) // 2] < BESIDE
            assert (await large.response())[0] == 200


async def test_uploads_share_a_connection() -> None:
    taken = [0, 0]

    async def taking(peer: Peer) -> None:
        head = await peer.head()
        which = 1 if b" /1 " in head else 0
        while taken[which] < BULK:
            taken[which] += len(peer.buffer)
            peer.buffer = b""
            if taken[which] < BULK:
                await peer.more()
        await peer.send(OK)

    async with backends(taking) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        async with client(rig.port) as session, trio.open_nursery() as nursery:
            fields = [("content-length", str(BULK))]
            asks = [await session.ask("POST", f"/{i}", fields, end=False) for i in range(2)]
            for ask in asks:
                nursery.start_soon(ask.send, bytes(BULK), True)
            while max(taken) < BULK // 2:
                await trio.lowlevel.checkpoint()
            assert min(taken) > max(taken) / 3
            for ask in asks:
                assert (await ask.response())[0] == 200


def received(one: socket.socket) -> bytes:
    try:
        return one.recv(1 << 20)
    except BlockingIOError:
        return b""


@PLAIN
def test_a_client_with_many_streams_has_no_larger_share_of_the_turns() -> None:
    """Counted in answers: each time the engine reads its clock, 0.1 ms pass."""
    with standing() as (rig, stack):
        rig.install()
        link = h2.connection.H2Connection(h2.config.H2Configuration())
        link.initiate_connection()
        plain, many = opened(rig, stack), opened(rig, stack, link.data_to_send())
        settle(rig)
        for one in (plain, many):
            one.setblocking(False)
        rig.engine.hold_clock(look=0.0001)
        for id in range(1, 200, 2):
            link.send_headers(id, head(), end_stream=True)
        many.sendall(link.data_to_send())
        plain.sendall(GET * 8)
        data, others = b"", 0

        def answers() -> int:
            found = link.receive_data(received(many))
            return sum(isinstance(event, h2.events.ResponseReceived) for event in found)

        for _ in range(1000):
            rig.engine.turn()
            data += received(plain)
            others += answers()
            if data.count(b"HTTP/1.1 404") == 8:
                break
        assert data.count(b"HTTP/1.1 404") == 8
        assert 8 <= others <= 50
        for _ in range(1000):
            rig.engine.turn()
            others += answers()
        assert others == 100


@PLAIN
def test_events_do_not_wait_behind_those_that_streams_cause() -> None:
    """Each stream causes the event that its connection to the backend has failed. Each time the engine reads its clock,
    0.01 ms pass."""
    with standing() as (rig, stack):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            rig.put("b", closed.getsockname()[1])
        link = h2.connection.H2Connection(h2.config.H2Configuration())
        link.initiate_connection()
        for id in range(1, 200, 2):
            link.send_headers(id, head(), end_stream=True)
        many = link.data_to_send()
        plain = opened(rig, stack)
        settle(rig)
        plain.setblocking(False)
        clients = [opened(rig, stack, many) for _ in range(30)]
        rig.engine.hold_clock(look=0.00001)
        waits = []
        for _ in range(4):
            for _ in range(5):
                rig.engine.turn()
            plain.sendall(GET)
            waits.append(turns_until(rig, lambda: received(plain) != b""))
        assert waits[0] <= 10, "the others have rested too"
        assert max(waits[1:]) <= 6
        assert len(clients) == 30


@PLAIN
def test_the_more_connections_have_work_the_shorter_are_their_visits() -> None:
    """A stream does not wait for long visits of all others. The clock is that of the test before."""
    with standing() as (rig, stack):
        rig.install()
        link = h2.connection.H2Connection(h2.config.H2Configuration())
        link.initiate_connection()
        first = link.data_to_send()
        for id in range(1, 200, 2):
            link.send_headers(id, head(), end_stream=True)
        many = first + link.data_to_send()
        one = opened(rig, stack, first)
        settle(rig)
        one.setblocking(False)
        received(one)
        clients = [opened(rig, stack, many) for _ in range(100)]
        rig.engine.hold_clock(look=0.00001)
        for _ in range(5):
            rig.engine.turn()
        link = h2.connection.H2Connection(h2.config.H2Configuration())
        link.initiate_connection()
        link.data_to_send()
        link.send_headers(1, head(), end_stream=True)
        one.sendall(link.data_to_send())
        assert turns_until(rig, lambda: b"404" in received(one)) <= 8
        assert len(clients) == 100


@PLAIN
@pytest.mark.parametrize("number", [20, 60])
def test_a_connection_that_rests_does_not_wait_for_those_that_always_have_work(number: int) -> None:
    """However many others there are, and however long a visit takes: each time the engine reads its clock, 0.5 ms
    pass."""
    with standing() as (rig, stack):
        rig.install()
        link = h2.connection.H2Connection(h2.config.H2Configuration())
        link.initiate_connection()
        first = link.data_to_send()
        for id in range(1, 200, 2):
            link.send_headers(id, head(), end_stream=True)
        many = first + link.data_to_send()
        one = opened(rig, stack, first)
        settle(rig)
        one.setblocking(False)
        received(one)
        clients = [opened(rig, stack, many) for _ in range(number)]
        rig.engine.hold_clock(look=0.0005)
        for _ in range(number * 4):
            rig.engine.turn()
        link = h2.connection.H2Connection(h2.config.H2Configuration())
        link.initiate_connection()
        link.data_to_send()
        waits = []
        for id in range(1, 8, 2):
            link.send_headers(id, head(), end_stream=True)
            one.sendall(link.data_to_send())
            waits.append(turns_until(rig, lambda: b"404" in received(one)))
            rig.engine.advance(1)
        assert max(waits) <= 5
        assert rig.engine.turn(), "the others have no work left"
        assert len(clients) == number


def asking(path: str, streams: range) -> bytes:
    """Requests on a connection that has none yet, or (from stream 3 on) has had one."""
    link = h2.connection.H2Connection(h2.config.H2Configuration())
    link.initiate_connection()
    first = link.data_to_send() if streams.start == 1 else b""
    link.clear_outbound_data_buffer()
    for id in streams:
        link.send_headers(id, head(path=path), end_stream=True)
    return first + link.data_to_send()


@PLAIN
@pytest.mark.parametrize("number", [20, 60])
def test_a_request_does_not_wait_for_the_connections_of_another_namespace(number: int) -> None:
    """However many there are, although all of them have rested before. Each time the engine reads its clock, 0.5 ms
    pass. Of a hundred pairs of namespaces, some count as one: so three ask."""
    names = ("one", "two", "three")
    with standing() as (rig, stack):
        rig.install(
            *(
                rule("b", name=str(i), route=f"{name}/route", path=f"/{name}")
                for i, name in enumerate((*names, "others"))
            )
        )
        clients = [opened(rig, stack, asking("/others", range(1, 2))) for _ in range(number)]
        asks = {name: opened(rig, stack, asking(f"/{name}", range(1, 2))) for name in names}
        settle(rig)
        for ask in asks.values():
            ask.setblocking(False)
            assert received(ask)
        rig.engine.advance(1)
        rig.engine.hold_clock(look=0.0005)
        for client in clients:
            client.sendall(asking("/others", range(3, 103, 2)))
        for _ in range(2):
            rig.engine.turn()
        waits = []
        for name, ask in asks.items():
            ask.sendall(asking(f"/{name}", range(3, 4)))
            waits.append(turns_until(rig, lambda ask=ask: received(ask) != b""))
        assert min(waits) <= 6
        assert rig.engine.turn(), "the others have no work left"


@PLAIN
def test_connections_with_work_do_not_wait_for_many_deadlines() -> None:
    """Many idle connections reach their deadlines at once. Each time the engine reads its clock, 0.1 ms pass."""
    with standing() as (rig, stack):
        rig.install()
        idle = [opened(rig, stack) for _ in range(300)]
        settle(rig)
        rig.engine.advance(40)
        link = h2.connection.H2Connection(h2.config.H2Configuration())
        link.initiate_connection()
        one = opened(rig, stack, link.data_to_send())
        settle(rig)
        one.setblocking(False)
        received(one)
        rig.engine.advance(36)
        rig.engine.hold_clock(look=0.0001)
        link.send_headers(1, head(), end_stream=True)
        one.sendall(link.data_to_send())
        assert turns_until(rig, lambda: b"404" in received(one)) <= 4
        assert len(idle) == 300


@PLAIN
@pytest.mark.parametrize("look", [15, 20, 25, 30, 35, 40, 50, 60, 80], ids=lambda look: f"{look}us")
def test_a_deadline_passes_however_long_the_events_of_a_turn_take(look: int) -> None:
    """Each turn, many connections have a request and another one behind it. Each time the engine reads its clock,
    `look` microseconds pass: for some of these values the events of every turn end just before its time is over."""
    with standing() as (rig, stack):
        rig.install()
        idle = opened(rig, stack)
        settle(rig)
        rig.engine.advance(40)
        busy = [opened(rig, stack, GET) for _ in range(60)]
        settle(rig)
        rig.engine.advance(36)
        rig.engine.hold_clock(look=look / 1e6)
        idle.setblocking(False)
        for _ in range(20):
            for one in busy:
                one.sendall(GET + GET)
            rig.engine.turn()
            if ended(idle):
                return
        raise AssertionError("the connection is still open")


def ended(one: socket.socket) -> bool:
    try:
        return one.recv(1) == b""
    except BlockingIOError:
        return False
