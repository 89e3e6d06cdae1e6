"""A client that requests one path repeatedly over one connection, and records which endpoint responded when."""

import time
from http.client import HTTPConnection
from types import TracebackType
from typing import NamedTuple

PAUSE = 0.0003  # seconds between two requests


class Answer(NamedTuple):
    asked: float  # time.perf_counter() when the request was sent
    status: int
    body: str
    mark: str | None


class Client:
    """One kept-alive connection to the Gateway on 127.0.0.1."""

    def __init__(self, port: int = 80) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=10)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def ask(self, path: str) -> Answer:
        asked = time.perf_counter()
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        return Answer(asked, answer.status, answer.read().decode(), answer.headers.get("x-mark"))

    def ask_for(self, path: str, seconds: float) -> list[Answer]:
        """All responses within so many seconds."""
        end = time.perf_counter() + seconds
        answers = []
        while time.perf_counter() < end:
            answers.append(self.ask(path))
            time.sleep(PAUSE)
        return answers

    def until(self, path: str, status: int = 200, mark: str | None = None, *, seconds: float = 10.0) -> float:
        """Sends requests until the response is the expected one. Returns when it arrived. Raises RuntimeError after a
        timeout."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            answer = self.ask(path)
            if answer.status == status and (mark is None or answer.mark == mark):
                return time.perf_counter()
            time.sleep(PAUSE)
        raise RuntimeError(f"no response with status {status} for {path} within {seconds:g} s")
