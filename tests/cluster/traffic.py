"""Traffic that knows the right answers: each request may be answered by these namespaces or statuses, by nobody else.

Clients are threads with one kept connection each, one request at a time, never repeated: a broken connection is a wrong
answer like any other.
"""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple

PAUSE = 0.002  # s between an answer and the next request of a client
SHOWN = 10  # wrong answers that are told


class Ask(NamedTuple):
    """A GET, and who may answer it: names of namespaces (of echo servers), or statuses other than 200."""

    host: str
    path: str
    right: frozenset[str]


class Wrong(NamedTuple):
    """An answer that was not among the right ones, when (s since the start) and which request it was to."""

    time: float
    ask: Ask
    got: str


class Client:
    """One connection to an address, made again after it broke."""

    def __init__(self, address: str, port: int = 80) -> None:
        self._connection = http.client.HTTPConnection(address, port, timeout=10)

    def ask(self, host: str, path: str) -> str:
        """The answering namespace, or the status if it is not 200, or why there was no answer."""
        try:
            self._connection.request("GET", path, headers={"Host": host})
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return f"{type(error).__name__}: {error}"
        return str(json.loads(body)["namespace"]) if answer.status == 200 else str(answer.status)

    def close(self) -> None:
        self._connection.close()


class Traffic:
    """Clients that ask these questions in turn, from `with` to its end."""

    def __init__(self, address: str, asks: Sequence[Ask], clients: int = 4, port: int = 80) -> None:
        self.wrong: list[Wrong] = []
        self.answers: Counter[str] = Counter()
        self._address, self._port, self._asks = address, port, asks
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
            thread.join(15)

    def check(self) -> None:
        """AssertionError: something was answered wrongly, or nothing was asked."""
        told = "\n".join(f"{one.time:.3f} s {one.ask.host}{one.ask.path}: {one.got}" for one in self.wrong[:SHOWN])
        assert not self.wrong, f"{len(self.wrong)} of {sum(self.answers.values())} answers are wrong:\n{told}"
        assert sum(self.answers.values()) > len(self._threads)

    def _client(self, number: int) -> None:
        client = Client(self._address, self._port)
        position = number
        while not self._ended.wait(PAUSE):
            ask = self._asks[position % len(self._asks)]
            got = client.ask(ask.host, ask.path)
            self.answers[got] += 1
            if got not in ask.right:
                self.wrong.append(Wrong(time.monotonic() - self._begin, ask, got))
            position += 1
        client.close()
