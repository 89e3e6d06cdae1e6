"""Across a real engine: the peer reads what the engine understood, however invalid the input was.

The backend reads with h11, an independent parser. If a gateway and its backend read the same bytes differently,
requests can be smuggled: h11 must find the same requests in the same order as this parser, and no others.
"""

from typing import NamedTuple

import h11
import trio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from messages import MUTATIONS, Mutations, mutated, requests, responses
from rig import Peer, backends, connect, rule, running

from fastroute.ext.http1.http1 import BodyReader, Refused, RequestHead, ResponseHead, read_request, read_response

FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
UNFINISHED = "closed connection"  # part of the h11 error for a message that ends too early


class Request(NamedTuple):
    method: bytes
    target: bytes
    fields: tuple[tuple[bytes, bytes], ...]  # without fields that the gateway adds, and without those of one hop
    body: bytes


ADDED = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-request-id")
HOP = (b"host", b"content-length", b"transfer-encoding", b"connection", b"te", b"upgrade")


def kept(fields: list[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name, value) for name, value in fields if name not in ADDED + HOP)


async def send_in_pieces(peer: Peer, data: bytes, count: int) -> None:
    """`data` in `count` writes that arrive one by one, then the end of the stream."""
    size = len(data) // count + 1
    for start in range(0, len(data), size):
        await peer.send(data[start : start + size])
        if count > 1:
            await trio.sleep(0.001)
    await peer.end_of_writing()


# ------------------------------------------------------------------------------------------------------------ requests


def understood(data: bytes) -> list[Request]:
    """The complete requests that this parser finds in `data`, up to the first that closes, is refused or incomplete."""
    found = []
    while data:
        head = read_request(data)
        if not isinstance(head, RequestHead):
            break
        reader = BodyReader(head.framing, head.content_length)
        decoded = reader.decode(data[head.size :])
        if isinstance(decoded, Refused) or not reader.complete:
            break
        target = head.path if head.query is None else head.path + b"?" + head.query
        fields = [(name.lower(), value) for name, value, dropped in head.fields if not dropped]
        found.append(Request(head.method, target, kept(fields), decoded[1]))
        if not head.keep_alive:
            break
        data = data[head.size + decoded[0] :]
    return found


class Origin:
    """A backend that reads with h11, answers every request and records it; `complaints` are the errors of h11."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.complaints: list[str] = []

    async def script(self, peer: Peer) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            while await self.one(peer, connection):
                connection.start_next_cycle()
        except h11.RemoteProtocolError as error:
            if UNFINISHED not in str(error):
                self.complaints.append(str(error))

    async def one(self, peer: Peer, connection: h11.Connection) -> bool:
        """Reads and answers one request. False if there is none."""
        body = b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage | h11.ConnectionClosed):
            if event is h11.NEED_DATA:
                connection.receive_data(await peer.stream.receive_some(65536))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
        if isinstance(event, h11.ConnectionClosed):
            return False
        fields = [(bytes(name), bytes(value)) for name, value in head.headers]
        self.requests.append(Request(head.method, head.target, kept(fields), body))
        answer = connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
        await peer.send((answer or b"") + (connection.send(h11.EndOfMessage()) or b""))
        return True


async def forwarded(streams: list[bytes], count: int) -> list[list[Request]]:
    """The requests that the origin reads from each stream, sent on a separate connection in `count` writes."""
    origin = Origin()
    each = []
    async with backends(origin.script) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        for data in streams:
            client = await connect(rig.port)
            try:
                await send_in_pieces(client, data, count)
                await client.rest()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # refused, and the connection closed before everything was sent
            await client.close()
            each.append(origin.requests)
            origin.requests = []
    assert origin.complaints == []
    return each


STREAMS = st.lists(
    st.tuples(st.lists(requests(), min_size=1, max_size=2), MUTATIONS | st.just([])), min_size=5, max_size=5
)
WRITES = st.sampled_from([1, 1, 3, 20])
UPGRADE = [([b"OPTIONS / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"], [])]


@FEW
@example(drawn=UPGRADE, count=1)
@given(drawn=STREAMS, count=WRITES)
def test_backends_read_the_requests_that_were_understood(
    drawn: list[tuple[list[bytes], Mutations]], count: int
) -> None:
    streams = [mutated(b"".join(several), mutations) for several, mutations in drawn]
    assert trio.run(forwarded, streams, count) == [understood(data) for data in streams]


# ----------------------------------------------------------------------------------------------------------- responses


class Answer(NamedTuple):
    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes


def answered(data: bytes) -> Answer | None:
    """The final response to a GET in `data`, after which the backend closes; None if it is invalid or truncated."""
    while isinstance(head := read_response(data), ResponseHead) and head.status < 200:
        data = data[head.size :]
    if not isinstance(head, ResponseHead):
        return None
    reader = BodyReader(head.framing, head.content_length)
    decoded = reader.decode(data[head.size :])
    if isinstance(decoded, Refused) or not (reader.complete or head.framing == "close"):
        return None
    fields = [(name.lower(), value) for name, value, dropped in head.fields if not dropped]
    return Answer(head.status, kept(fields), decoded[1])


async def received(peer: Peer) -> Answer | None:
    """The final response as an independent client reads it; None if it is truncated."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    body = b""
    head: h11.Response | None = None
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage | h11.ConnectionClosed):
            if event is h11.NEED_DATA:
                connection.receive_data(await peer.stream.receive_some(65536))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
    except trio.BrokenResourceError:
        return None
    except h11.RemoteProtocolError as error:
        if UNFINISHED in str(error):
            return None
        raise
    assert head is not None
    fields = [(bytes(name), bytes(value)) for name, value in head.headers]
    return Answer(head.status_code, kept(fields), body)


async def answers(streams: list[bytes], count: int) -> list[Answer | None]:
    """What clients read when the backend sends each stream in `count` writes and then closes."""
    each = []

    async def script(peer: Peer) -> None:
        await peer.head()
        await send_in_pieces(peer, next(said), count)

    said = iter(streams)
    async with backends(script) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        for _ in streams:
            client = await connect(rig.port)
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            each.append(await received(client))
            await client.close()
    return each


@FEW
@given(drawn=st.lists(st.tuples(responses(), MUTATIONS | st.just([])), min_size=5, max_size=5), count=WRITES)
def test_clients_read_the_responses_that_were_understood(drawn: list[tuple[bytes, Mutations]], count: int) -> None:
    streams = [mutated(data, mutations) for data, mutations in drawn]
    for data, found in zip(streams, trio.run(answers, streams, count), strict=True):
        expected = answered(data)
        if expected is None:
            assert found is None or found.status == 502, (data, found)
        else:
            assert found is not None
            dates = [name for name, _ in expected.fields if name == b"date"]
            undated = tuple(field for field in found.fields if dates or field[0] != b"date")
            assert found._replace(fields=undated) == expected, data
            assert b"date" in dict(found.fields)
