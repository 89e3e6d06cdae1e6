"""What is put into the table of HPACK of a connection to a backend: clients share it, so no secrets of theirs (RFC 7541
section 7.1.3)."""

from typing import Any

from hpack import HeaderTuple, NeverIndexedHeaderTuple
from http2.client import Ask, client, head
from http2.server import Channel, Link, spoken
from http2.test_backends import HTTP2, asked, serving
from rig import OK, backends, rule, running, soon

from fastroute import snapshot

LONG = "session=0123456789abcdef0123456789abcdef"  # libnghttp2 itself protects short cookies


def secret(name: str, value: str) -> Any:
    return NeverIndexedHeaderTuple(name, value)


def never_indexed(fields: Any) -> set[str]:
    return {name for name, _ in fields} - {field[0] for field in fields if field.indexable}


class Noting:
    """A backend whose answers have never-indexed fields."""

    def __init__(self) -> None:
        self.links: list[Link] = []
        self.seen: list[Channel] = []

    async def __call__(self, peer: Channel) -> None:
        await peer.request()
        self.seen.append(peer)
        plain = HeaderTuple("x-plain", "1")
        await peer.answer([(":status", "103"), secret("x-early", "1")])
        await peer.answer([(":status", "200"), secret("x-token", "1"), plain])
        await peer.content(b"ok")
        await peer.finish([secret("x-sum", "1"), plain])

    def table(self) -> set[str]:
        return {name.decode() for link in self.links for name, _ in link.h2.decoder.header_table.dynamic_entries}


async def test_never_indexed_fields_stay_so_in_both_directions() -> None:
    noting = Noting()
    modifier = snapshot.HeaderModifier(direction="request", add=(snapshot.HeaderValue("X-Api-Key", "more"),))
    async with serving(noting, noting.links, rule=rule("b", filters=(modifier,))) as (rig, _):
        async with client(rig.port) as session:
            for _ in range(3):
                fields = [secret("x-api-key", "abc"), ("x-plain", "1"), ("cookie", "a=1"), secret("cookie", LONG)]
                ask = await session.ask(fields=fields, body=b"ab", end=False)
                await ask.finish([secret("x-end", "1"), ("x-plain", "1")])
                assert (await ask.response())[0] == 200
                assert never_indexed(ask.fields) == {"x-token"}
                assert never_indexed(ask.trailers) == {"x-sum"}
        for channel in noting.seen:
            got = dict(channel.fields)
            assert (got["x-api-key"], got["cookie"]) == ("abc,more", f"a=1; {LONG}")
            assert never_indexed(channel.fields) >= {"x-api-key", "cookie"}
            assert never_indexed(channel.trailers) == {"x-end"}
        assert "x-plain" in noting.table()
        assert not noting.table() & {"x-api-key", "cookie", "x-end"}


async def test_a_secret_request_id_is_not_taught() -> None:
    noting = Noting()
    options = {"trusted_proxies": ["127.0.0.0/8"]}
    async with serving(noting, noting.links, **options) as (rig, _), client(rig.port) as session:
        ask = await session.ask(fields=[secret("x-request-id", "a1")])
        assert (await ask.response())[0] == 200
        assert dict(noting.seen[0].fields)["x-request-id"] == "a1"
        assert "x-request-id" not in noting.table()


async def test_a_cookie_of_http1_is_not_indexed() -> None:
    noting = Noting()
    request = f"GET / HTTP/1.1\r\nHost: a\r\nCookie: {LONG}\r\nAuthorization: Basic YTpi\r\nX-Plain: 1\r\n\r\n".encode()
    async with serving(noting, noting.links) as (rig, _):
        for _ in range(2):
            assert (await (await asked(rig, request)).response())[0] == 200
        assert all(never_indexed(channel.fields) >= {"cookie", "authorization"} for channel in noting.seen)
        assert "x-plain" in noting.table()
        assert not noting.table() & {"cookie", "authorization"}


async def test_never_indexed_fields_of_mirrors_and_retries() -> None:
    """Both are sent from a copy of the request."""
    mirrored, noting = Noting(), Noting()
    failed: list[Channel] = []

    async def failing(peer: Channel) -> None:
        if failed:
            await noting(peer)
            return
        await peer.request()
        failed.append(peer)
        await peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")

    retry = snapshot.Retry(attempts=2, codes=(503,), backoff_ms=1)
    served = rule("b", filters=[snapshot.Mirror(backend="m")], retry=retry)
    scripts = spoken(failing, noting.links), spoken(mirrored, mirrored.links)
    async with backends(*scripts) as [backend, mirror], running(served) as rig:
        for name, port in (("b", backend.port), ("m", mirror.port)):
            rig.upstreams.speak(name, HTTP2)
            rig.put(name, port)
        async with client(rig.port) as session:
            for _ in range(2):
                ask = await session.ask(fields=[secret("x-api-key", "abc"), ("x-plain", "1")])
                assert (await ask.response())[0] == 200
            await soon(lambda: len(mirrored.seen) == 2)
        assert len(noting.seen) == 2
        for one in (noting, mirrored):
            assert all("x-api-key" in never_indexed(channel.fields) for channel in one.seen)
            assert "x-plain" in one.table()
            assert "x-api-key" not in one.table()


# --- request IDs


async def test_request_ids_are_sent_with_few_bytes() -> None:
    """Only the first one is in the table of the backend; later ones refer to its name."""
    ids: list[str] = []
    links: list[Link] = []

    async def script(peer: Channel) -> None:
        await peer.request()
        ids.append(dict(peer.fields)["x-request-id"])
        await peer.send(OK)

    async with serving(script, links) as (rig, _):
        for _ in range(4):
            assert (await (await asked(rig)).response())[0] == 200
        assert ids_in_table(links) == ids[:1]
        assert len(set(ids)) == 4


def ids_in_table(links: list[Link]) -> list[str]:
    [link] = links
    entries = link.h2.decoder.header_table.dynamic_entries
    return [value.decode() for name, value in entries if name == b"x-request-id"]


async def test_one_of_several_first_requests_teaches_the_name_of_request_ids() -> None:
    """All of them, and their copies, wait until the connection is established."""
    links: list[Link] = []
    copied: list[Link] = []
    scripts = spoken(answering_plainly, links), spoken(answering_plainly, copied)
    served = rule("b", filters=[snapshot.Mirror(backend="m")])
    async with backends(*scripts) as [backend, mirror], running(served) as rig:
        for name, port in (("b", backend.port), ("m", mirror.port)):
            rig.upstreams.speak(name, HTTP2)
            rig.put(name, port)
        async with client(rig.port) as session:
            asks = []
            for _ in range(3):
                asks.append(Ask(session, session.link.get_next_available_stream_id()))
                session.asks[asks[-1].id] = asks[-1]
                session.link.send_headers(asks[-1].id, head(), end_stream=True)
            await session.flush()
            for ask in asks:
                assert (await ask.response())[0] == 200
            await soon(lambda: rig.counters.fixed()["mirrored"] == 3)
        assert len(ids_in_table(links)) == 1
        await soon(lambda: bool(copied) and len(copied[0].channels) == 3)
        assert len(ids_in_table(copied)) == 1


async def answering_plainly(peer: Channel) -> None:
    await peer.request()
    await peer.send(OK)
