"""Connections of TLSRoutes that pass TLS on, over real sockets: by server name, however the ClientHello arrives."""

import ssl

import msgspec
import pytest
import trio
from certificates import certificate, trusting
from passages import counted, echoing, ended, gone, listening, naming, passage, passing, pinged, reasons, speak, traffic
from rig import Peer, Rig, answering, backends, connect, quiet, rule
from securebackend import secured, showing

from fastroute import snapshot
from fastroute.settings import Limits
from fastroute.snapshot import Mode

BACKEND = "apps/a:80/raw"
NAME = "a.example.com"
HELLO_MOST = 16_640


def hello(name: str | None, more: int = 0, versions: bytes = b"\x03\x03") -> bytes:
    """The message of a ClientHello with a server name, after a key share of `more` bytes."""
    extensions = b""
    if more:
        extensions += b"\x00\x33" + more.to_bytes(2, "big") + bytes(more)
    if name is not None:
        host = b"\0" + len(name).to_bytes(2, "big") + name.encode()
        names = len(host).to_bytes(2, "big") + host
        extensions += b"\0\0" + len(names).to_bytes(2, "big") + names
    body = versions + bytes(32) + b"\0" + b"\0\2\x13\x01" + b"\1\0" + len(extensions).to_bytes(2, "big") + extensions
    return b"\x01" + len(body).to_bytes(3, "big") + body


def records(message: bytes, *sizes: int) -> bytes:
    """The message in records of these sizes; the last size is repeated."""
    out, at, number = b"", 0, 0
    while at < len(message):
        size = sizes[min(number, len(sizes) - 1)] if sizes else 16_384
        piece = message[at : at + size]
        out += b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece
        at, number = at + len(piece), number + 1
    return out


def route(*backends: str | snapshot.WeightedBackend, hostname: str = NAME, listener: str = "listener") -> snapshot.Rule:
    return passage(*backends, hostname=hostname, listener=listener, kind="TLSRoute")


async def served(rig: Rig, data: bytes) -> bytes:
    """What the backend returns of these bytes of a client."""
    client = await connect(rig.port)
    await client.send(data)
    await client.end_of_writing()
    return await client.rest()


# --- the hello


async def test_a_hello_cut_at_each_byte() -> None:
    whole = records(hello(NAME))
    async with backends(echoing) as [backend], passing(route(BACKEND), mode=Mode.PASSTHROUGH) as rig:
        rig.put(BACKEND, backend.port)
        for cut in range(1, len(whole)):
            client = await connect(rig.port)
            await client.send(whole[:cut])
            await quiet(0.001)
            assert backend.connections == cut - 1
            await client.send(whole[cut:] + b"more")
            assert await client.exactly(len(whole) + 4) == whole + b"more"
            await client.close()
        await gone(rig)
        assert set(reasons(rig)) == {None}


@pytest.mark.parametrize("sizes", [(1,), (3,), (4, 1), (5, 200), (50,), (16_384,)])
async def test_a_hello_in_several_records(sizes: tuple[int, ...]) -> None:
    whole = records(hello(NAME, 1_200), *sizes)
    async with backends(echoing) as [backend], passing(route(BACKEND), mode=Mode.PASSTHROUGH) as rig:
        rig.put(BACKEND, backend.port)
        assert await served(rig, whole + b"more") == whole + b"more"


@pytest.mark.parametrize("more", [1_200, 1_700, 8_000, 16_000])
async def test_a_hello_with_large_key_shares(more: int) -> None:
    """The name follows them. It comes in packets of the usual size."""
    whole = records(hello(NAME, more))
    async with backends(echoing) as [backend], passing(route(BACKEND), mode=Mode.PASSTHROUGH) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        for start in range(0, len(whole), 1_400):
            await client.send(whole[start : start + 1_400])
            await quiet(0.001)
        assert await client.exactly(len(whole)) == whole
        await pinged(client)
        assert traffic(rig) == {"connections": 1, "received": len(whole) + 4, "sent": len(whole) + 4}


async def test_the_line_of_a_connection() -> None:
    whole = records(hello("A.Example.com"))
    async with backends(echoing) as [backend], passing(route(BACKEND), mode=Mode.PASSTHROUGH) as rig:
        rig.put(BACKEND, backend.port)
        assert await served(rig, whole) == whole
        await gone(rig)
        [line] = rig.lines()
        for name in ("time", "duration_us", "upstream_duration_us"):
            assert line.pop(name)
        assert {name: value for name, value in line.items() if value is not None} == {
            "protocol": "TLS",
            "bytes_received": len(whole),
            "bytes_sent": len(whole),
            "upstream": f"127.0.0.1:{backend.port}",
            "gateway": "infra/gateway",
            "listener": "tcp",
            "route": f"apps/{NAME}",
            "rule": "0",
            "backend": "apps/a:80",
            "client": "127.0.0.1",
            "route_kind": "TLSRoute",
            "upstream_protocol": "TLS",
            "tls_server_name": NAME,
            "tries": 1,
        }


async def test_tls_of_real_programs_goes_through() -> None:
    context = showing(certificate(NAME))
    async with (
        backends(secured(context, naming(b"220 ready"))) as [backend],
        passing(route(BACKEND), mode=Mode.PASSTHROUGH) as rig,
    ):
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port, NAME, trusting())
        assert await client.rest() == b"220 ready"


# --- without a route

LATE = Limits(head_timeout=10)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (records(hello("b.example.com")), "no_listener"),
        (records(hello(None)), "no_listener"),
        (b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n", "no_client_hello"),
        (b"\x00", "no_client_hello"),
        (records(hello(NAME, HELLO_MOST)), "no_client_hello"),
        (records(hello(NAME, HELLO_MOST), 1_000), "no_client_hello"),
        (records(hello("c.example.com")), "no_rule"),
    ],
)
async def test_a_connection_without_a_route_is_closed(data: bytes, reason: str) -> None:
    async with passing(mode=Mode.PASSTHROUGH) as rig:
        rig.install_all(
            [listening(rig.port, Mode.PASSTHROUGH, name, id=name) for name in (NAME, "c.example.com")],
            route(BACKEND, listener=NAME),
        )
        client = await connect(rig.port)
        await client.send(data)
        assert await ended(client) in ("closed", "reset")
        await gone(rig)
        [line] = rig.lines()
        assert (line["protocol"], line["status"], line["reason"]) == ("TLS", None, reason)
        assert rig.local(reason) == 1
        known = {"no_listener": "b.example.com" if b"b.example" in data else None, "no_rule": "c.example.com"}
        assert line["tls_server_name"] == known.get(reason)
        assert counted(rig, 11) == ({"connections": 1} if reason == "no_rule" else {})


@pytest.mark.parametrize("sent", [b"", records(hello(NAME))[:-1]])
async def test_a_late_hello(sent: bytes) -> None:
    async with passing(route(BACKEND), mode=Mode.PASSTHROUGH, limits=LATE, held=True) as rig:
        client = await connect(rig.port)
        await client.send(sent)
        await rig.passes(9)
        assert rig.engine.statistics().downstream_idle == 1
        await rig.passes(2)
        assert await ended(client) in ("closed", "reset")
        await gone(rig)
        assert reasons(rig) == ["head_timeout"]
        assert rig.local("head_timeout") == 1


async def test_a_client_that_says_nothing_and_leaves_is_not_logged() -> None:
    async with passing(route(BACKEND), mode=Mode.PASSTHROUGH) as rig:
        await (await connect(rig.port)).close()
        await gone(rig)
        assert rig.lines() == []


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (snapshot.WeightedBackend(weight=1, backend="x", status=500, reason="reference_refused"), "reference_refused"),
        (snapshot.WeightedBackend(weight=0, backend=BACKEND), "zero_weights"),
        ("apps/none:80/raw", "no_endpoint"),
    ],
)
async def test_without_a_backend_it_is_closed(target: str | snapshot.WeightedBackend, reason: str) -> None:
    whole = records(hello(NAME))
    async with passing(route(target), mode=Mode.PASSTHROUGH) as rig:
        client = await connect(rig.port)
        await client.send(whole)
        assert await ended(client) == "closed"
        await gone(rig)
        [line] = rig.lines()
        assert (line["reason"], line["tls_server_name"], line["bytes_received"]) == (reason, NAME, len(whole))
        assert line["bytes_sent"] == 0
        assert rig.local(reason) == 1


# --- names


async def test_the_most_specific_name_wins() -> None:
    names = {
        "a.example.com": b"exact",
        "*.example.com": b"wildcard",
        "*.b.example.com": b"longer",
        "": b"any",
    }
    asked = {
        "a.example.com": b"exact",
        "b.example.com": b"wildcard",
        "x.a.example.com": b"wildcard",
        "b.b.example.com": b"longer",
        "x.y.b.example.com": b"longer",
        "example.com": b"any",
        "other.org": b"any",
        None: b"any",
    }
    rules = [route(f"apps/{text.decode()}:80/raw", hostname=name) for name, text in names.items()]
    async with (
        backends(*map(naming, names.values())) as started,
        passing(*rules, mode=Mode.PASSTHROUGH) as rig,
    ):
        for text, backend in zip(names.values(), started, strict=True):
            rig.put(f"apps/{text.decode()}:80/raw", backend.port)
        assert {name: await served(rig, records(hello(name))) for name in asked} == asked


async def test_the_most_specific_listener_wins() -> None:
    """Also if it has no route for the name, and another listener has one."""
    async with backends(naming(b"1"), naming(b"2")) as [first, second], passing(mode=Mode.PASSTHROUGH) as rig:
        rules = [
            route("apps/1:80/raw", hostname="a.example.com", listener="wild"),
            route("apps/2:80/raw", hostname="b.example.com", listener="any"),
            route("apps/2:80/raw", hostname="", listener="any"),
        ]
        rules[2] = snapshot.Rule(**{name: getattr(rules[2], name) for name in rules[2].__struct_fields__})
        speak(rig, *rules)
        rig.put("apps/1:80/raw", first.port)
        rig.put("apps/2:80/raw", second.port)
        rig.install_all(
            [
                listening(rig.port, Mode.PASSTHROUGH, "*.example.com", id="wild"),
                listening(rig.port, Mode.PASSTHROUGH, id="any"),
            ],
            *rules,
        )
        assert await served(rig, records(hello("a.example.com"))) == b"1"
        assert await served(rig, records(hello("a.org"))) == b"2"
        assert await served(rig, records(hello(None))) == b"2"
        client = await connect(rig.port)
        await client.send(records(hello("b.example.com")))
        assert await ended(client) == "closed"


async def test_without_a_name_only_a_rule_for_any_name_of_a_listener_for_any_name() -> None:
    async with backends(naming(b"1")) as [backend], passing(mode=Mode.PASSTHROUGH) as rig:
        speak(rig, route(BACKEND))
        rig.put(BACKEND, backend.port)
        for hostname, name, reason in (
            ("", NAME, "no_rule"),
            ("*.example.com", "", "no_listener"),
            ("", "", None),
        ):
            rig.install_all(
                [listening(rig.port, Mode.PASSTHROUGH, hostname)],
                route(BACKEND, hostname=name),
            )
            if reason is None:
                assert await served(rig, records(hello(None))) == b"1"
            else:
                client = await connect(rig.port)
                await client.send(records(hello(None)))
                assert await ended(client) == "closed"
        await gone(rig)
        assert reasons(rig) == ["no_rule", "no_listener", None]


# --- life


async def test_a_backend_that_cannot_be_connected() -> None:
    async with passing(route(BACKEND), mode=Mode.PASSTHROUGH) as rig:
        rig.put(BACKEND, 1)
        client = await connect(rig.port)
        await client.send(records(hello(NAME)))
        assert await ended(client) == "closed"
        assert reasons(rig) == ["connect_failed"]


async def test_a_reset_goes_through() -> None:
    async def breaking(peer: Peer) -> None:
        await peer.exactly(5)
        await peer.reset()

    async with backends(breaking) as [backend], passing(route(BACKEND), mode=Mode.PASSTHROUGH) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        await client.send(records(hello(NAME)))
        assert await ended(client) == "reset"
        await gone(rig)
        assert reasons(rig) == ["upstream_truncated"]


async def test_it_survives_the_removal_of_everything() -> None:
    whole = records(hello(NAME))
    async with backends(echoing) as [backend], passing(route(BACKEND), mode=Mode.PASSTHROUGH) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        await client.send(whole)
        assert await client.exactly(len(whole)) == whole
        rig.install_all([])
        rig.upstreams.remove(BACKEND)
        await pinged(client)
        await client.end_of_writing()
        assert await client.rest() == b""
        await gone(rig)
        assert reasons(rig) == [None]


async def test_a_drain_closes_only_clients_that_have_said_nothing() -> None:
    whole = records(hello(NAME))
    async with backends(echoing) as [backend], passing(route(BACKEND), mode=Mode.PASSTHROUGH, held=True) as rig:
        rig.put(BACKEND, backend.port)
        client, silent = [await connect(rig.port) for _ in range(2)]
        await client.send(whole)
        assert await client.exactly(len(whole)) == whole
        await quiet()
        rig.engine.drain()
        await rig.passes(1.1)
        assert await ended(silent) in ("closed", "reset")
        await pinged(client)
        assert rig.lines() == []
        assert rig.local("head_timeout") == 0


# --- beside others on one port


async def test_a_port_with_three_kinds_of_tls() -> None:
    shown = snapshot.ListenerTLS(certificates=("certs/a",))
    raw = snapshot.ListenerTLS(certificates=("certs/a",), protocol="raw", alpn=())
    rules = [
        route("apps/p:80/raw", hostname="p.example.com", listener="passed"),
        route("apps/t:80/raw", hostname="t.example.com", listener="ended"),
    ]
    web = msgspec.structs.replace(rule("apps/w:80"), listener="web", id="web|HTTPRoute|apps/w|0")
    context = showing(certificate("p.example.com"))
    async with (
        backends(secured(context, naming(b"passed")), naming(b"ended"), answering) as [passed, over, requests],
        passing(mode=Mode.PASSTHROUGH) as rig,
    ):
        rig.certificates.put("certs/a", certificate("a", "*.example.com"))
        speak(rig, *rules)
        rig.put("apps/p:80/raw", passed.port)
        rig.put("apps/t:80/raw", over.port)
        rig.put("apps/w:80", requests.port)
        rig.install_all(
            [
                listening(rig.port, Mode.PASSTHROUGH, "p.example.com", id="passed"),
                listening(rig.port, Mode.TERMINATE, "t.example.com", id="ended", tls=raw),
                listening(rig.port, Mode.TERMINATE, "*.example.com", id="web", tls=shown),
            ],
            *rules,
            web,
        )
        rig.certificates.commit()
        assert await (await connect(rig.port, "p.example.com", trusting())).rest() == b"passed"
        assert await (await connect(rig.port, "t.example.com", trusting())).rest() == b"ended"
        client = await connect(rig.port, "w.example.com", trusting())
        for host, status in (("w.example.com", 200), ("p.example.com", 421), ("t.example.com", 421)):
            await client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert (await client.response())[0] == status
        with pytest.raises(ssl.SSLError):
            await _refused(rig, "other.org")


async def _refused(rig: Rig, name: str) -> None:
    try:
        await connect(rig.port, name, trusting())
    except trio.BrokenResourceError as error:
        cause = error.__cause__
        raise cause if isinstance(cause, ssl.SSLError) else ssl.SSLError("closed") from error
