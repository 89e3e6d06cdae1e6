"""A Rig whose listeners pass bytes on unread, as those of TCPRoutes and TLSRoutes do, and backends for it."""

import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import trio
from peer import PATIENCE, Peer, SecureStream
from rig import Rig, connect, loopback, soon

from fastroute import snapshot
from fastroute.settings import Limits
from fastroute.snapshot import Mode

RAW = snapshot.Backend(protocol="raw")


def passage(
    *backends: str | snapshot.WeightedBackend, hostname: str = "", listener: str = "listener", kind: str = "TCPRoute"
) -> snapshot.Rule:
    """A rule for a server name, with equal weights for all `backends`."""
    route = f"apps/{hostname or 'any'}"
    return snapshot.Rule(
        id=f"{listener}|{kind}|{route}|0",
        listener=listener,
        hostnames=(hostname,),
        gateway="infra/gateway",
        listener_name="tcp",
        route=route,
        route_kind=kind,
        name="0",
        matches=(),
        backends=tuple(
            snapshot.WeightedBackend(weight=1, backend=backend) if isinstance(backend, str) else backend
            for backend in backends
        ),
    )


def listening(
    port: int,
    mode: Mode = Mode.RAW,
    hostname: str = "",
    *,
    id: str = "listener",
    tls: snapshot.ListenerTLS | None = None,
) -> snapshot.Listener:
    return snapshot.Listener(
        id=id,
        gateway="infra/gateway",
        name="tcp",
        place=loopback(port),
        spec_port=80,
        hostname=hostname,
        mode=mode,
        tls=tls,
    )


@asynccontextmanager
async def passing(
    *rules: snapshot.Rule,
    mode: Mode = Mode.RAW,
    limits: Limits | None = None,
    held: bool = False,
    log: bool = True,
    **options: Any,
) -> AsyncIterator[Rig]:
    """A Rig with one listener of this mode, running until the end of the block. The backends of its rules get bytes."""
    rig = Rig(limits, log, **options)
    if held:
        rig.engine.hold_clock()
    rig.listen()
    speak(rig, *rules)
    rig.install_all([listening(rig.port, mode)], *rules)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.turn_forever)
        try:
            yield rig
        finally:
            nursery.cancel_scope.cancel()
            rig.close()


def speak(rig: Rig, *rules: snapshot.Rule, like: snapshot.Backend = RAW) -> None:
    """The backends of these rules get bytes."""
    for one in rules:
        for target in one.backends:
            rig.upstreams.speak(target.backend, like)


async def echoing(peer: Peer) -> None:
    """Returns everything until the end, and then ends, too."""
    while await peer.more():
        data, peer.buffer = peer.buffer, b""
        await peer.send(data)


def naming(name: bytes) -> Any:
    """A script of a backend that speaks first: it says its name, ends, and reads until the client ends."""

    async def script(peer: Peer) -> None:
        await peer.send(name)
        if isinstance(peer.stream, SecureStream):
            await peer.end_tls()
        else:
            await peer.end_of_writing()
            await peer.rest()

    return script


async def pinged(client: Peer, data: bytes = b"ping") -> None:
    await client.send(data)
    assert await client.exactly(len(data)) == data


async def ended(peer: Peer) -> str:
    """How the engine ends a connection on which it says nothing: "reset" or "closed"."""
    try:
        with trio.fail_after(PATIENCE):
            data = await peer.stream.receive_some(100)
    except trio.BrokenResourceError:
        return "reset"
    assert data == b""
    return "closed"


async def turned_away(port: int) -> str:
    """How the engine ends a new connection. It may be reset before the client knows that it is established."""
    try:
        return await ended(await connect(port))
    except OSError:
        return "reset"


async def gone(rig: Rig) -> None:
    """Waits until the engine has no connection but the listeners."""
    await soon(lambda: not any(rig.engine.statistics()[:5]))


def traffic(rig: Rig) -> dict[str, int]:
    """What was counted in the series of the backends (Rig.install_all)."""
    return counted(rig, 1)


def counted(rig: Rig, slot: int) -> dict[str, int]:
    from fastroute.ext.reactor.counters import TRAFFIC

    names = {code: name for name, code in TRAFFIC.items()}
    return {names[code]: count for at, code, count in rig.counters.used_traffic() if at == slot}


def reasons(rig: Rig) -> Sequence[str | None]:
    return [line["reason"] for line in rig.lines()]


@contextmanager
def silent() -> Iterator[int]:
    """A port that does not answer, because its accept queue is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        port: int = listening.getsockname()[1]
        yield port
