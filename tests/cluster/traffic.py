"""Traffic that knows the right answers: each request may be answered by these namespaces or statuses, by nobody else.

Clients are threads, one request at a time, never repeated: a broken connection is a wrong answer like any other. Each
keeps one plain connection to a port; by HTTPS it makes a new one for each request, and believes tests/certificates.py.
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

PAUSE = 0.002  # s between an answer and the next request of a client
SHOWN = 10  # wrong answers that are told


class Ask(NamedTuple):
    """A GET by HTTP or HTTPS, and who may answer it: namespaces (of echo servers), or statuses other than 200."""

    host: str
    path: str
    right: frozenset[str] = frozenset()
    port: int = 80
    secure: bool = False


class Wrong(NamedTuple):
    """An answer that was not among the right ones, when (s since the start) and which request it was to."""

    time: float
    ask: Ask
    got: str


class Client:
    """Its connections to an address, made again after they broke. `offset`: of all ports."""

    def __init__(self, address: str, offset: int = 0) -> None:
        self._address, self._offset = address, offset
        self._trust = trusting()
        self._connections: dict[tuple[int, str], http.client.HTTPConnection] = {}

    def ask(self, ask: Ask, *, anew: bool = False) -> str:
        """The answering namespace, or the status if it is not 200, or why there was no answer. `anew`: by a new
        connection, if it is one with TLS."""
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

    def shown(self, ask: Ask) -> str:
        """Which certificate it was shown for this question; "" without TLS, or without a connection."""
        connection = self._connections.get(_way(ask))
        if connection is None or not isinstance(connection.sock, ssl.SSLSocket):
            return ""
        return hashlib.sha256(connection.sock.getpeercert(binary_form=True) or b"").hexdigest()[:16]

    def close(self, ask: Ask | None = None) -> None:
        """The connection of a question; without one, all."""
        for way in [_way(ask)] if ask else list(self._connections):
            if connection := self._connections.pop(way, None):
                connection.close()

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
    """Questions with the same one may share a connection."""
    return ask.port, ask.host if ask.secure else ""


class Traffic:
    """Clients that ask these questions in turn, from `with` to its end."""

    def __init__(self, address: str, asks: Sequence[Ask], clients: int = 4, offset: int = 0) -> None:
        self.wrong: list[Wrong] = []
        self.answers: Counter[str] = Counter()
        self._address, self._offset, self._asks = address, offset, asks
        self._ended = threading.Event()
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
        """AssertionError: something was answered wrongly, or nothing was asked."""
        told = "\n".join(
            f"{one.time:.3f} s {one.ask.host}:{one.ask.port}{one.ask.path}: {one.got}" for one in self.wrong[:SHOWN]
        )
        assert not self.wrong, f"{len(self.wrong)} of {sum(self.answers.values())} answers are wrong:\n{told}"
        assert sum(self.answers.values()) > len(self._threads)

    def _client(self, number: int) -> None:
        client = Client(self._address, self._offset)
        position = number
        while not self._ended.wait(PAUSE):
            ask = self._asks[position % len(self._asks)]
            got = client.ask(ask, anew=True)
            self.answers[got] += 1
            if got not in ask.right:
                self.wrong.append(Wrong(time.monotonic() - self._begin, ask, got))
            position += 1
        client.close()
