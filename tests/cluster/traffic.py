"""Traffic that checks responses: each request has a set of right answers (namespaces or statuses).

Each client is a thread that sends one request at a time and never retries: a broken connection counts as a wrong
answer. A client keeps one plaintext connection per port, opens a new HTTPS connection for each request, and trusts the
CA of tests/certificates.py. connections.py has the clients of other protocols, and what their answers mean.
"""

import hashlib
import http.client
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple

from certificates import trusting

from cluster.connections import PATIENCE, Calls, Flow, Lines, what_happened

PAUSE = 0.002  # s between a response and the next request of a client
SHOWN = 10  # the number of wrong answers in the message
BRIEFLY = 0.2  # s for a datagram that may stay unanswered
TEAMS = ("pears", "plums")  # of streams.py


class Ask(NamedTuple):
    """A GET with HTTP or HTTPS, and its right answers: namespaces (of echo servers), or statuses other than 200.

    by      `tcp` (with TLS if secure), `udp` or `grpc` is no GET. Then `path` says whether a new connection or flow is
            used, or one that is kept: new, kept
    """

    host: str
    path: str
    right: frozenset[str] = frozenset()
    port: int = 80
    secure: bool = False
    by: str = "http"


class Wrong(NamedTuple):
    """An answer that was not right: when (s since the start), the request, and the answer."""

    time: float
    ask: Ask
    got: str


class Client:
    """A client's connections to an address, reopened after they broke. `offset`: added to all ports."""

    def __init__(self, address: str, offset: int = 0) -> None:
        self._address, self._offset = address, offset
        self._trust = trusting()
        self._connections: dict[tuple[int, str], http.client.HTTPConnection] = {}
        self._others: dict[Ask, Lines | Flow | Calls] = {}

    def ask(self, ask: Ask, *, anew: bool = False) -> str:
        """The namespace that answered, or the status if it is not 200, or the error. `anew`: use a new connection if it
        is HTTPS."""
        if ask.by != "http":
            return self._ask_other(ask)
        if anew and ask.secure:
            self.close(ask)
        try:
            connection = self._connection(ask)
            connection.request("GET", ask.path, headers={"Host": ask.host})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close(ask)
            return f"{type(error).__name__}: {error}"
        return str(json.loads(body)["namespace"]) if answer.status == 200 else str(answer.status)

    def _ask_other(self, ask: Ask) -> str:
        """A connection is closed after what is no answer of a pod, so a kept one that breaks is seen once."""
        if ask.path == "new":
            self._close_other(ask)
        try:
            if ask not in self._others:
                self._others[ask] = self._other(ask)
            match self._others[ask]:
                case Flow() as flow:
                    return flow.ask(BRIEFLY if "no answer" in ask.right else PATIENCE)
                case Lines() as lines:
                    got = lines.ask()
                case Calls() as calls:
                    return calls.ask(ask.host)
        except OSError as error:
            got = what_happened(error)
        if got not in TEAMS:
            self._close_other(ask)
        return got

    def _other(self, ask: Ask) -> Lines | Flow | Calls:
        port = ask.port + self._offset
        if ask.by == "udp":
            return Flow(self._address, port)
        if ask.by == "grpc":
            return Calls(self._address, port, TEAMS)
        return Lines(self._address, port, self._trust if ask.secure else None, ask.host)

    def _close_other(self, ask: Ask) -> None:
        if ask in self._others:
            self._others.pop(ask).close()

    def shown(self, ask: Ask) -> str:
        """A hash of the certificate on this request's connection; "" without TLS or without a connection."""
        connection = self._connections.get(_way(ask)) if ask.by == "http" else None
        if connection is None or not isinstance(connection.sock, ssl.SSLSocket):
            return ""
        return hashlib.sha256(connection.sock.getpeercert(binary_form=True) or b"").hexdigest()[:16]

    def close(self, ask: Ask | None = None) -> None:
        """Closes the connection of a request or, without one, all connections."""
        for way in [_way(ask)] if ask else list(self._connections):
            if connection := self._connections.pop(way, None):
                connection.close()
        for one in [] if ask else list(self._others):
            self._close_other(one)

    def _connection(self, ask: Ask) -> http.client.HTTPConnection:
        way = _way(ask)
        if way not in self._connections:
            made = http.client.HTTPConnection(self._address, ask.port + self._offset, timeout=60)
            self._connections[way] = made
            made.connect()
            if ask.secure:
                made.sock = self._trust.wrap_socket(made.sock, server_hostname=ask.host)
        return self._connections[way]


def _way(ask: Ask) -> tuple[int, str]:
    """The key of a connection: requests with the same key may share one."""
    return ask.port, ask.host if ask.secure else ""


def _name_of(ask: Ask) -> str:
    names = {("http", True): "HTTPS", ("http", False): "HTTP", ("tcp", True): "TLS", ("tcp", False): "TCP"}
    return names.get((ask.by, ask.secure), {"udp": "UDP", "grpc": "gRPC"}.get(ask.by, ask.by))


class Traffic:
    """Clients that send these requests in turn, for the duration of the `with` block."""

    def __init__(self, address: str, asks: Sequence[Ask], clients: int = 4, offset: int = 0) -> None:
        self.wrong: list[Wrong] = []
        self.answers: Counter[str] = Counter()
        self.ways: Counter[str] = Counter()
        self._address, self._offset, self._asks = address, offset, asks
        self._ended, self._lock = threading.Event(), threading.Lock()
        self._begin = time.monotonic()
        self._threads = [threading.Thread(target=self._client, args=(number,)) for number in range(clients)]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(90)

    def check(self) -> None:
        """Raises AssertionError if there was a wrong answer, or if no requests were sent."""
        told = "\n".join(
            f"{one.time:.3f} s {one.ask.by} {one.ask.host}:{one.ask.port}{one.ask.path}: {one.got}"
            for one in self.wrong[:SHOWN]
        )
        assert not self.wrong, f"{len(self.wrong)} of {sum(self.answers.values())} answers are wrong:\n{told}"
        assert sum(self.answers.values()) > len(self._threads)

    def counted(self) -> str:
        """How many questions were asked in each way, and how many answers were wrong."""
        ways = ", ".join(f"{count} {by}" for by, count in sorted(self.ways.items()))
        return f"{len(self.wrong)} of {sum(self.ways.values())} answers are wrong ({ways})"

    def _client(self, number: int) -> None:
        client = Client(self._address, self._offset)
        position = number
        while not self._ended.wait(PAUSE):
            ask = self._asks[position % len(self._asks)]
            got = client.ask(ask, anew=True)
            with self._lock:
                self.answers[got] += 1
                self.ways[_name_of(ask)] += 1
            if got not in ask.right:
                self.wrong.append(Wrong(time.monotonic() - self._begin, ask, got))
            position += 1
        client.close()
