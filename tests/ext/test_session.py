"""Session persistence: tokens, and the endpoints of requests over real sockets."""

import string
from collections import Counter
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rig import Backend, Peer, Rig, Script, backends, connect, rule, running

from fastroute.ext.routing.session import Sessions
from fastroute.snapshot import Rule, Session, WeightedBackend

KEY = bytes(range(16))
COOKIE = Session(name="sticky", key=KEY)
HEADER = Session(name="X-Session", key=KEY, header=True)
NOW = 1_800_000_000
NUMBERS = st.integers(0, 2**64 - 1)
MARKS = st.integers(0, 2**32 - 1)


def token_of(session: Session, endpoint: int = 1, backend: int = 2, made: int = NOW) -> str:
    [(_, value)] = Sessions(session).write(endpoint, backend, made)
    return value.partition(";")[0].partition("=")[2] if not session.header else value


# --- tokens


@given(NUMBERS, MARKS, MARKS)
def test_what_is_written_is_read(endpoint: int, backend: int, made: int) -> None:
    for session in (COOKIE, HEADER):
        token = token_of(session, endpoint, backend, made)
        brought = [("x-session", token)] if session.header else [("Cookie", f"a=b; sticky={token}; c")]
        assert Sessions(session).read(brought, made) == [(endpoint, backend, made)]


@given(st.binary(min_size=16, max_size=16), NUMBERS)
def test_no_key_reads_the_tokens_of_another(key: bytes, endpoint: int) -> None:
    token = token_of(COOKIE, endpoint)
    read = Sessions(Session(name="sticky", key=key)).read([("Cookie", f"sticky={token}")], NOW)
    assert key == KEY or (endpoint, 2, NOW) not in read


@settings(max_examples=300)
@given(st.text(st.sampled_from(string.printable), max_size=80))
def test_any_cookie_is_read_as_python_reads_it(text: str) -> None:
    token = token_of(COOKIE)
    field = "".join(letter for letter in text if letter >= " ") + f"; sticky={token}"
    pairs = [pair.strip(" \t").partition("=") for pair in field.split(";")]
    expected = [value for name, _, value in pairs if name == "sticky" and value == token]
    assert len(Sessions(COOKIE).read([("cookie", field)], NOW)) >= len(expected) == 1


@settings(max_examples=300)
@given(st.text(st.sampled_from(string.ascii_letters + string.digits + "-_=+/ "), max_size=30))
def test_a_forged_token_is_no_token_of_ours(text: str) -> None:
    for found in Sessions(COOKIE).read([("Cookie", f"sticky={text}")], NOW):
        assert found[:2] != (1, 2)


def test_one_letter_changed_is_another_token() -> None:
    token = token_of(COOKIE)
    for at, letter in enumerate(token):
        changed = token[:at] + ("A" if letter != "A" else "B") + token[at + 1 :]
        assert (1, 2, NOW) not in Sessions(COOKIE).read([("Cookie", f"sticky={changed}")], NOW)


def test_several_cookies_of_one_name_are_all_looked_at() -> None:
    one, two = token_of(COOKIE, 1), token_of(COOKIE, 2)
    fields = [("A", "b"), ("Cookie", f"sticky={one}; sticky=x; Sticky={two}"), ("cookie", f"sticky={two}")]
    assert [found[0] for found in Sessions(COOKIE).read(fields, NOW)] == [1, 2]


@pytest.mark.parametrize(
    ("age", "current"), [(0, True), (3599, True), (3600, False), (10**6, False), (-60, True), (-61, False)]
)
def test_a_token_ends_with_its_lifetime(age: int, current: bool) -> None:
    session = Session(name="sticky", key=KEY, lifetime_s=3600)
    brought = [("Cookie", f"sticky={token_of(session, made=NOW - age)}")]
    assert bool(Sessions(session).read(brought, NOW)) is current


@pytest.mark.parametrize(
    ("session", "attributes"),
    [
        (COOKIE, "; Path=/; Secure; HttpOnly; SameSite=Strict"),
        (Session(name="sticky", key=KEY, path="/a/b", lifetime_s=60), "; Path=/a/b; Secure; HttpOnly; SameSite=Strict"),
        (
            Session(name="sticky", key=KEY, lifetime_s=3600, permanent=True),
            "; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=3600; Expires=Fri, 15 Jan 2027 09:00:00 GMT",
        ),
    ],
)
def test_attributes_of_the_cookie(session: Session, attributes: str) -> None:
    [(name, value)] = Sessions(session).write(1, 2, NOW)
    pair, _, rest = value.partition(";")
    assert (name, pair[:7], len(pair), f";{rest}") == ("Set-Cookie", "sticky=", 29, attributes)


def test_a_token_says_nothing_in_plain() -> None:
    """Tokens of adjacent endpoints differ in their first 6 characters."""
    tokens = [token_of(COOKIE, number) for number in range(50)]
    assert len({token[:6] for token in tokens}) == 50


def test_a_full_arena_is_no_overrun() -> None:
    outcomes = []
    for room in range(0, 1024, 8):
        try:
            outcomes.append(Sessions(COOKIE).write(1, 2, NOW, arena=room))
        except MemoryError:
            outcomes.append([])
    assert outcomes[0] == []
    assert outcomes[-1] == Sessions(COOKIE).write(1, 2, NOW)


def test_a_key_has_sixteen_bytes() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Sessions(Session(name="a", key=b"short"))


# --- over sockets

BOTH = pytest.mark.usefixtures("transport")  # plain TCP and TLS


def named(name: bytes) -> Script:
    """A script that answers with its name."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(name), name))

    return script


def sticky(*targets: str | WeightedBackend, session: Session = COOKIE, name: str = "0", path: str = "") -> Rule:
    return replace(rule(*targets, name=name, path=path), session=session)


async def ask(
    client: Peer, token: str | None = None, path: str = "/", header: str | None = None
) -> tuple[str, str | None]:
    """The name of the backend that answered, and the token in its response."""
    field = "" if token is None else f"{header}: {token}\r\n" if header else f"Cookie: x=y; sticky={token}\r\n"
    await client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n{field}\r\n".encode())
    status, fields, body = await client.response()
    assert status == 200, body
    said = fields.get(header.lower()) if header else fields.get("set-cookie")
    return body.decode(), said and said.partition(";")[0].removeprefix("sticky=")


def put(rig: Rig, name: str, *several: Backend) -> None:
    rig.put(name, *(one.port for one in several))


@BOTH
@pytest.mark.parametrize(("session", "header"), [(COOKIE, None), (HEADER, "X-Session")])
async def test_a_client_stays_where_it_was(session: Session, header: str | None) -> None:
    async with (
        backends(*(named(b"%d" % n) for n in range(4))) as several,
        running(sticky("apps/a:80", session=session)) as rig,
    ):
        put(rig, "apps/a:80", *several)
        client = await connect(rig.port)
        seen: set[str] = set()
        for asked in count(1):
            first, token = await ask(client, header=header)
            assert token is not None
            for _ in range(5):
                assert await ask(client, token, header=header) == (first, None)
            seen.add(first)
            if asked >= 30 and len(seen) == 4:
                break
            assert asked < 150  # each of four endpoints was chosen, except in one of 10**18 runs


@BOTH
async def test_every_engine_reads_every_engines_tokens() -> None:
    """Workers and replicas have only the key in common."""
    async with (
        backends(*(named(b"%d" % n) for n in range(5))) as several,
        running(sticky("apps/a:80")) as one,
        running(sticky("apps/a:80")) as other,
    ):
        put(one, "apps/a:80", *several)
        put(other, "apps/a:80", *reversed(several))
        first, second = await connect(one.port), await connect(other.port)
        for _ in range(20):
            who, token = await ask(first)
            assert await ask(second, token) == (who, None)


@BOTH
async def test_a_session_is_stronger_than_weights_and_the_first_choice_follows_them() -> None:
    async with backends(named(b"a"), named(b"b")) as [a, b]:
        first = (WeightedBackend(weight=3, backend="apps/a:80"), WeightedBackend(weight=1, backend="apps/b:80"))
        async with running(sticky(*first)) as rig:
            put(rig, "apps/a:80", a)
            put(rig, "apps/b:80", b)
            client = await connect(rig.port)
            begun = [await ask(client) for _ in range(40)]
            assert Counter(who for who, _ in begun) == {"a": 30, "b": 10}
            rig.install(
                sticky(WeightedBackend(weight=0, backend="apps/a:80"), WeightedBackend(weight=1, backend="apps/b:80"))
            )
            for who, token in begun:
                assert await ask(client, token) == (who, None)
            assert (await ask(client))[0] == "b"


@BOTH
async def test_in_the_newer_api_the_weights_choose_each_time() -> None:
    session = Session(name="sticky", key=KEY, holds_backend=False)
    async with backends(named(b"a1"), named(b"a2"), named(b"a3"), named(b"b")) as [*of_a, b]:
        first = (WeightedBackend(weight=3, backend="apps/a:80"), WeightedBackend(weight=1, backend="apps/b:80"))
        async with running(sticky(*first, session=session)) as rig:
            put(rig, "apps/a:80", *of_a)
            put(rig, "apps/b:80", b)
            client = await connect(rig.port)
            who, token = await ask(client)
            while who == "b":
                who, token = await ask(client)
            asked = [await ask(client, token) for _ in range(40)]
            assert Counter(name[0] for name, _ in asked) == {"a": 30, "b": 10}
            assert {name for name, _ in asked if name[0] == "a"} == {who}
            assert {said is None for name, said in asked if name[0] == "a"} == {True}


@BOTH
async def test_a_session_moves_when_its_endpoint_is_gone() -> None:
    async with backends(*(named(b"%d" % n) for n in range(3))) as several, running(sticky("apps/a:80")) as rig:
        put(rig, "apps/a:80", *several)
        client = await connect(rig.port)
        who, token = await ask(client)
        left = [one for number, one in enumerate(several) if str(number) != who]
        put(rig, "apps/a:80", *left)
        rig.engine.wake()
        other, fresh = await ask(client, token)
        assert other != who
        assert fresh is not None
        put(rig, "apps/a:80", *several)
        assert await ask(client, fresh) == (other, None)
        assert await ask(client, token) == (who, None)  # the endpoint is back, and its old token is valid again


@BOTH
async def test_a_session_moves_when_its_endpoint_takes_no_connection() -> None:
    async with backends(named(b"here")) as [here], running(sticky("apps/a:80")) as rig:
        async with backends(named(b"gone")) as [gone]:
            put(rig, "apps/a:80", gone)
            client = await connect(rig.port)
            who, token = await ask(client)
            assert who == "gone"
        put(rig, "apps/a:80", gone, here)
        answered = [await ask(client, token) for _ in range(5)]
        assert {who for who, _ in answered} == {"here"}
        assert None not in {said for _, said in answered}


@BOTH
async def test_a_refused_backend_loses_its_sessions() -> None:
    async with backends(named(b"a"), named(b"b")) as [a, b], running(sticky("apps/a:80")) as rig:
        put(rig, "apps/a:80", a)
        put(rig, "apps/b:80", b)
        client = await connect(rig.port)
        _, token = await ask(client)
        refused = WeightedBackend(weight=0, backend="apps/a:80", status=500, reason="reference_refused")
        rig.install(sticky(refused, "apps/b:80"))
        assert (await ask(client, token))[0] == "b"


@BOTH
async def test_rules_do_not_share_sessions() -> None:
    other = Session(name="sticky", key=KEY[::-1])
    async with (
        backends(*(named(b"%d" % n) for n in range(4))) as several,
        running(sticky("apps/a:80"), sticky("apps/a:80", session=other, name="1", path="/b")) as rig,
    ):
        put(rig, "apps/a:80", *several)
        client = await connect(rig.port)
        _, token = await ask(client)
        assert {(await ask(client, token, path="/b"))[1] is None for _ in range(20)} == {False}


@BOTH
async def test_rules_without_sessions_read_and_say_nothing() -> None:
    async with backends(named(b"a")) as [a], running(rule("apps/a:80")) as rig:
        put(rig, "apps/a:80", a)
        client = await connect(rig.port)
        assert await ask(client, token_of(COOKIE)) == ("a", None)
