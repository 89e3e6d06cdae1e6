"""UDP through a real Engine: a rig with UDP places, endpoints that answer datagrams, and clients."""

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import trio
from peer import PATIENCE
from rig import Rig, quiet

from fastroute import snapshot
from fastroute.place import Place, Transport
from fastroute.settings import Limits

ROUTE = "apps/dns"


def udp_listener(place: Place, name: str = "udp") -> snapshot.Listener:
    return snapshot.Listener(
        id=name,
        gateway="infra/gateway",
        name=name,
        place=place,
        spec_port=53,
        hostname="",
        mode=snapshot.Mode.DATAGRAMS,
    )


def to(backend: str, weight: int = 1, reason: str | None = None) -> snapshot.WeightedBackend:
    """A backendRef to the UDP port of a Service: `backend` is "ns/name:port". With a reason it is refused."""
    return snapshot.WeightedBackend(
        weight=weight, backend=f"{backend}/udp", status=None if reason is None else 500, reason=reason
    )


def udp_rule(*backends: snapshot.WeightedBackend, listener: str = "udp", route: str = ROUTE) -> snapshot.Rule:
    return snapshot.Rule(
        id=f"{listener}|UDPRoute|{route}|0",
        listener=listener,
        hostnames=("",),
        gateway="infra/gateway",
        listener_name=listener,
        route=route,
        route_kind="UDPRoute",
        name="0",
        matches=(),
        backends=backends,
    )


class UdpRig(Rig):
    """An engine with one UDP place at `address`."""

    def __init__(self, address: str, limits: Limits | None, **options: Any) -> None:
        super().__init__(limits, log=True, **options)
        self.address = address
        self.place = self.bind(address)

    def bind(self, address: str, port: int = 0, *, dual: bool = False) -> Place:
        """Opens a UDP socket of the engine."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        one = socket.socket(family, socket.SOCK_DGRAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
        one.bind((address, port))
        place = Place(Transport.UDP, address, one.getsockname()[1])
        self.engine.listen(one.detach(), place)
        return place

    def serve(self, *rules: snapshot.Rule) -> None:
        """Replaces the configuration by the place and these rules."""
        self.install_all([udp_listener(self.place)], *rules)

    def endpoints(self, backend: str, *ports: int, address: str = "127.0.0.1") -> None:
        self.upstreams.update(f"{backend}/udp", [(address, port) for port in ports])
        self.engine.wake()

    @property
    def flows(self) -> int:
        return self.engine.statistics().flows

    @property
    def counted(self) -> tuple[int, int]:
        """Datagrams received from clients, and sent to them."""
        fixed = self.counters.fixed()
        return fixed["udp_received"], fixed["udp_sent"]


@asynccontextmanager
async def udp(
    *rules: snapshot.Rule, address: str = "127.0.0.1", limits: Limits | None = None, held: bool = False, **options: Any
) -> AsyncIterator[UdpRig]:
    rig = UdpRig(address, limits, **options)
    if held:
        rig.engine.hold_clock()
    rig.serve(*rules)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.turn_forever)
        try:
            yield rig
        finally:
            nursery.cancel_scope.cancel()
            rig.close()


Answers = Callable[[bytes], list[bytes]]


class UdpEndpoint:
    """A UDP socket that answers each datagram with `answers(datagram)`."""

    def __init__(self, answers: Answers, address: str = "127.0.0.1", port: int = 0) -> None:
        self.answers = answers
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = trio.socket.socket(family, socket.SOCK_DGRAM)
        self.address = address
        self.got: list[tuple[bytes, tuple[Any, ...]]] = []  # with the address of the gateway's socket
        self.wanted_port = port
        self.port = 0

    async def serve(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        await self.socket.bind((self.address, self.wanted_port))
        self.port = self.socket.getsockname()[1]
        task_status.started(self)
        while True:
            data, peer = await self.socket.recvfrom(65536)
            self.got.append((data, peer))
            for one in self.answers(data):
                await self.socket.sendto(one, peer)

    @property
    def peers(self) -> set[tuple[Any, ...]]:
        """The addresses of the sockets that have sent something: one for each flow."""
        return {peer for _, peer in self.got}


def echo(data: bytes) -> list[bytes]:
    return [data]


def silent(data: bytes) -> list[bytes]:
    return []


def named(name: bytes) -> Answers:
    return lambda data: [name]


@asynccontextmanager
async def answering(*answers: Answers, address: str = "127.0.0.1", port: int = 0) -> AsyncIterator[list[UdpEndpoint]]:
    async with trio.open_nursery() as nursery:
        started = [await nursery.start(UdpEndpoint(one, address, port).serve) for one in answers]
        try:
            yield started
        finally:
            nursery.cancel_scope.cancel()
            for one in started:
                one.socket.close()


class Client:
    """A UDP socket of a client; not connected, so that it sees from which address an answer comes."""

    def __init__(self, place: Place | tuple[str, int], address: str | None = None) -> None:
        self.to = place[-2:]
        family = socket.AF_INET6 if ":" in self.to[0] else socket.AF_INET
        self.socket = trio.socket.socket(family, socket.SOCK_DGRAM)
        self.source = address

    async def send(self, *datagrams: bytes) -> None:
        if self.source is not None:
            await self.socket.bind((self.source, 0))
            self.source = None
        for one in datagrams:
            await self.socket.sendto(one, self.to)

    async def receive(self) -> bytes:
        return (await self.receive_from())[0]

    async def receive_from(self) -> tuple[bytes, tuple[Any, ...]]:
        with trio.fail_after(PATIENCE):
            return await self.socket.recvfrom(65536)

    async def ask(self, data: bytes) -> bytes:
        """Sends a datagram, and returns the next one that comes."""
        await self.send(data)
        return await self.receive()

    async def is_silent(self) -> bool:
        """Whether nothing comes, once the engine is idle."""
        await quiet(0.02)
        with trio.move_on_after(0.02):
            await self.socket.recvfrom(65536)
            return False
        return True

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])


@contextmanager
def clients(place: Place | tuple[str, int], count: int, address: str | None = None) -> Iterator[list[Client]]:
    made = [Client(place, address) for _ in range(count)]
    try:
        yield made
    finally:
        for one in made:
            one.socket.close()
