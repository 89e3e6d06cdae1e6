"""Floods of handshakes with backends: many backends send their certificates at the same time.

The tests make the turns. When the backends have computed what they send, the held clock begins to advance by a
millisecond at each reading, so each step of a handshake seems to cost a millisecond."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import msgspec
import pytest
from ext.test_tls_waiting import LOOK, answered
from rig import GET, OK, PATIENCE, Rig, rule
from securebackend import showing, tls_to
from steps import client, settle, standing, turns_until

from fastroute import snapshot
from fastroute.ext.routing.balancer import Selector
from fastroute.settings import Limits

MANY = 30
FLOOD = b"GET /many HTTP/1.1\r\nHost: a\r\n\r\n"
VICTIM = b"GET /victim HTTP/1.1\r\nHost: a\r\n\r\n"


class Backend:
    """One connection to a TLS backend that has read the ClientHello, and computed what it sends next."""

    def __init__(self, listening: socket.socket, context: ssl.SSLContext) -> None:
        self.socket, _ = listening.accept()
        self.socket.settimeout(PATIENCE)
        self.got, self.sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.got, self.sent, server_side=True)
        while not self.sent.pending:
            self.got.write(self.socket.recv(65_536))
            with suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()

    def release(self) -> None:
        self.socket.sendall(self.sent.read())

    @property
    def reached(self) -> bool:
        """Whether the gateway has verified the certificate."""
        return answered([self.socket]) == 1

    def reply(self) -> None:
        """Completes the handshake, and answers the request that comes with it."""
        self.got.write(self.socket.recv(65_536))
        self.tls.do_handshake()
        while b"\r\n\r\n" not in self.tls.read(65_536):
            self.got.write(self.socket.recv(65_536))
        self.tls.write(OK)
        self.release()


class Flood:
    """Routes of the namespace `apps` to the backend `many`, of the namespace `other` to `victim`."""

    def __init__(self, rig: Rig, stack: ExitStack) -> None:
        self.rig, self.stack = rig, stack
        self.context = showing()
        self.listening = {name: self.listen(name) for name in ("many", "victim")}
        rig.install(
            rule("many", path="/many"),
            rule("victim", path="/victim", name="1", route="other/route"),
            rule("victim", path="/copied", name="2", filters=[snapshot.Mirror(backend="many")]),
            rule("many", path="/request-timeout", name="3", request_timeout_ms=500),
            rule("many", path="/backend-timeout", name="4", backend_timeout_ms=500),
        )

    def listen(self, name: str) -> socket.socket:
        listening = self.stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
        listening.settimeout(PATIENCE)
        self.rig.upstreams.speak(name, tls_to())
        self.rig.put(name, listening.getsockname()[1])
        return listening

    def ask(self, data: bytes, count: int = 1) -> list[socket.socket]:
        return [client(self.rig, self.stack, data) for _ in range(count)]

    def backends(self, name: str, count: int) -> list[Backend]:
        """Those that get a ClientHello now."""
        settle(self.rig)
        made = [Backend(self.listening[name], self.context) for _ in range(count)]
        for one in made:
            self.stack.callback(one.socket.close)
        return made

    def release(self, *backends: Backend) -> None:
        for one in backends:
            one.release()
        self.rig.engine.hold_clock(look=LOOK)


@contextmanager
def flooded() -> Iterator[Flood]:
    with standing() as (rig, stack):
        yield Flood(rig, stack)


def count(backends: list[Backend]) -> int:
    return sum(one.reached for one in backends)


def test_a_turn_continues_one_long_handshake() -> None:
    with flooded() as flood:
        flood.ask(FLOOD, MANY)
        many = flood.backends("many", MANY)
        flood.release(*many)
        reached = 0
        while reached < MANY:
            flood.rig.engine.turn()
            before, reached = reached, count(many)
            assert reached - before <= 1


def test_the_backends_of_one_namespace_do_not_delay_those_of_another() -> None:
    with flooded() as flood:
        flood.ask(FLOOD, MANY)
        many = flood.backends("many", MANY)
        [victim] = flood.ask(VICTIM)
        [backend] = flood.backends("victim", 1)
        flood.release(*many, backend)
        turns_until(flood.rig, lambda: backend.reached)
        assert count(many) <= MANY * 2 // 3
        backend.reply()
        turns_until(flood.rig, lambda: answered([victim]) == 1)
        assert victim.recv(100).startswith(b"HTTP/1.1 200 ")
        turns_until(flood.rig, lambda: count(many) == MANY)


def test_requests_come_before_handshakes_with_backends() -> None:
    with flooded() as flood:
        flood.ask(FLOOD, MANY)
        many = flood.backends("many", MANY)
        [victim] = flood.ask(b"")
        settle(flood.rig)
        flood.release(*many)
        victim.sendall(GET)
        turns_until(flood.rig, lambda: answered([victim]) == 1)
        assert count(many) <= MANY * 2 // 3


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_requests_and_copies_pass_when_their_handshakes_have_waited(protocol: str) -> None:
    """Copies for mirrors have connections of their own. Over HTTP/2 the requests share a connection."""
    with flooded() as flood:
        if protocol == "h2":
            flood.context = showing(alpn=["h2"])
            flood.rig.upstreams.speak("many", msgspec.structs.replace(tls_to(), protocol="h2"))
        flood.ask(FLOOD, 3)
        flood.ask(b"GET /copied HTTP/1.1\r\nHost: a\r\n\r\n", 3)
        many = flood.backends("many", 6 if protocol == "h1" else 1)
        flood.release(*many)
        turns_until(flood.rig, lambda: count(many) == len(many))


def test_a_handshake_that_waited_too_long_is_no_failure_of_the_endpoint() -> None:
    with flooded() as flood:
        clients = flood.ask(FLOOD, MANY)
        many = flood.backends("many", MANY)
        flood.release(*many)
        flood.rig.engine.turn()
        flood.rig.engine.hold_clock()
        flood.rig.engine.advance(Limits().connect_timeout)
        turns_until(flood.rig, lambda: answered(clients) > 0)
        assert Selector(flood.rig.upstreams, "many", 1).choose(now=0, usable=True)
        assert flood.rig.engine.failures(10) == []


@pytest.mark.parametrize("path", ["/request-timeout", "/backend-timeout"])
def test_a_timeout_of_a_request_whose_handshake_waits_is_no_failure_of_the_endpoint(path: str) -> None:
    with flooded() as flood:
        clients = flood.ask(FLOOD.replace(b"/many", path.encode()), MANY)
        many = flood.backends("many", MANY)
        flood.release(*many)
        flood.rig.engine.turn()
        waiting = MANY - count(many)
        flood.rig.engine.hold_clock()
        flood.rig.engine.advance(0.5)
        turns_until(flood.rig, lambda: answered(clients) == MANY)
        failed = sum(sum(reasons.values()) for _, _, reasons in flood.rig.engine.failures(10))
        assert failed <= MANY - waiting


def test_a_handshake_for_streams_that_waited_too_long_is_no_failure_of_the_endpoint() -> None:
    with flooded() as flood:
        flood.rig.upstreams.speak("victim", msgspec.structs.replace(tls_to(), protocol="h2"))
        flood.ask(FLOOD, MANY)
        many = flood.backends("many", MANY)
        flood.context = showing(alpn=["h2"])
        [victim] = flood.ask(VICTIM)
        [backend] = flood.backends("victim", 1)
        flood.release(*many, backend)
        flood.rig.engine.turn()
        assert not backend.reached
        flood.rig.engine.hold_clock()
        flood.rig.engine.advance(Limits().connect_timeout)
        turns_until(flood.rig, lambda: answered([victim]) > 0)
        assert not backend.reached
        assert Selector(flood.rig.upstreams, "victim", 1).choose(now=0, usable=True)


@pytest.mark.parametrize("leaves", ["client", "backend"])
def test_a_handshake_may_end_while_it_waits(leaves: str) -> None:
    with flooded() as flood:
        clients = flood.ask(FLOOD, MANY)
        many = flood.backends("many", MANY)
        flood.release(*many)
        flood.rig.engine.turn()
        for one in clients[::2] if leaves == "client" else [each.socket for each in many[::2]]:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            one.close()
        turns_until(flood.rig, lambda: count(many[1::2]) == MANY // 2)
        for one in many[1::2]:
            one.reply()
        turns_until(flood.rig, lambda: answered(clients[1::2]) == MANY // 2)
