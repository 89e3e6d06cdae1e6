"""Sends spans to the collectors of policies: OTLP/HTTP, to the endpoints of a Service.

A collector belongs to a tenant. So redirects are not followed, no proxy of the environment is used, a delivery has a
deadline whatever the collector sends and however slowly, and a namespace has a few threads only (room.py).
"""

import http.client
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

from fastroute import __version__
from fastroute.snapshot import BackendTLS, Endpoint
from fastroute.traces.room import Parcel, Room

PATH = "/v1/traces"
THREADS_MOST = 16
TRIES_MOST = 3  # of a parcel, each at another endpoint if there are several
TRY_TIMEOUT = 10.0  # seconds for a try, from the connection to the end of the answer
TIMEOUT = 30.0  # seconds for all tries and the time between them
ANSWER_LARGEST = 64 * 1024  # bytes of an answer that are read
LONGEST_REASON = 200  # characters of an error in a message
QUIET = 60.0  # seconds between two messages about a policy
CONTEXTS = 64  # of TLS that are kept
PAUSE = 1.0  # seconds before the next try after an answer without Retry-After
# Fields that a policy cannot set: they frame the request, or say what it contains.
_OURS = frozenset(
    {"connection", "content-length", "content-type", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)
_AGAIN = frozenset({429, 502, 503, 504})  # statuses after which OTLP allows another try

_log = logging.getLogger(__name__)


class Answer(NamedTuple):
    status: int
    retry_after: float | None  # seconds
    body: bytes


class Deliveries:
    """`exported` and `failed` are called with numbers of spans, by the threads."""

    def __init__(self, exported: Callable[[int], None], failed: Callable[[int], None]) -> None:
        self._exported, self._failed = exported, failed
        self._room = Room()
        self._threads: list[threading.Thread] = []
        self._ended = threading.Event()
        self._turn = 0  # at which endpoint the next parcel begins
        self._logged: dict[str, float] = {}

    def add(self, parcel: Parcel) -> None:
        """Does not wait. Without room, the spans are lost and counted. For one thread only."""
        if not parcel.collector.endpoints or not self._room.put(parcel):
            self._failed(parcel.spans)
        elif len(self._threads) < THREADS_MOST:
            self._threads.append(threading.Thread(target=self._run, name="collectors", daemon=True))
            self._threads[-1].start()

    def close(self, seconds: float) -> None:
        """Sends what waits for at most that time; what is left then is counted."""
        until = time.monotonic() + seconds
        self._room.close()
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0))
        self._ended.set()
        if left := self._room.clear():
            self._failed(left)

    def _run(self) -> None:
        while (parcel := self._room.take()) is not None:
            try:
                accepted = self._deliver(parcel)
            except Exception as error:  # its text may contain a token
                _log.error("spans of XTelemetryPolicy %s were lost: %s", parcel.policy, type(error).__name__)
                accepted = 0
            self._room.done(parcel)
            if accepted:
                self._exported(accepted)
            if accepted < parcel.spans:
                self._failed(parcel.spans - accepted)

    def _deliver(self, parcel: Parcel) -> int:
        """The number of spans that the collector has accepted."""
        until = time.monotonic() + TIMEOUT
        endpoints = parcel.collector.endpoints
        self._turn += 1
        first, why = self._turn, ""
        for number in range(TRIES_MOST):
            left = until - time.monotonic()
            if left <= 0 or self._ended.is_set():
                break
            try:
                answer = post(endpoints[(first + number) % len(endpoints)], parcel, min(left, TRY_TIMEOUT))
            except (
                OSError,
                http.client.HTTPException,
                ValueError,
            ) as error:  # ValueError: a header that cannot be sent
                why = _why(error)
                continue
            if 200 <= answer.status < 300:
                return max(parcel.spans - rejected(answer.body), 0)
            why = f"status {answer.status}"
            if answer.status not in _AGAIN:
                break
            pause = PAUSE if answer.retry_after is None else answer.retry_after
            if pause >= until - time.monotonic() or self._ended.wait(pause):
                break
        self._report(parcel, why)
        return 0

    def _report(self, parcel: Parcel, why: str) -> None:
        now = time.monotonic()
        if now >= self._logged.get(parcel.policy, now):
            if len(self._logged) >= 1_000:
                self._logged.clear()
            self._logged[parcel.policy] = now + QUIET
            what = "spans of XTelemetryPolicy %s were not accepted by the collector %s: %s"
            _log.warning(what, parcel.policy, parcel.collector.service, why or "the time was over")


def post(endpoint: Endpoint, parcel: Parcel, seconds: float) -> Answer:
    """Raises OSError, HTTPException, and ValueError if a header cannot be sent."""
    connection = _Connection(endpoint.address, endpoint.port, timeout=seconds)
    connection.tls = parcel.collector.tls
    timer = threading.Timer(seconds, _abort, [connection])
    timer.daemon = True
    own = ((name, value) for name, value in parcel.collector.headers if name.lower() not in _OURS)
    headers = {"User-Agent": f"fastroute/{__version__}", **dict(own), "Content-Type": "application/x-protobuf"}
    timer.start()
    try:
        connection.request("POST", PATH, parcel.data, headers)
        response = connection.getresponse()
        body = response.read(ANSWER_LARGEST)
        return Answer(response.status, _seconds(response.headers.get("Retry-After")), body)
    finally:
        timer.cancel()
        connection.close()


def _why(error: Exception) -> str:
    """Without the headers of a policy, which are in the text of a ValueError; the text of others may come from the
    collector."""
    said = str(error)[:LONGEST_REASON] if isinstance(error, (OSError, http.client.HTTPException)) else ""
    return said or type(error).__name__


class _Connection(http.client.HTTPConnection):
    """With the TLS that a BackendTLSPolicy demands."""

    tls: BackendTLS | None = None

    def connect(self) -> None:
        super().connect()
        if self.tls is not None:
            self.sock = _context(self.tls).wrap_socket(self.sock, server_hostname=self.tls.server_name)


@lru_cache(CONTEXTS)
def _context(tls: BackendTLS) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=tls.trust_anchors.decode() if tls.trust_anchors else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _abort(connection: http.client.HTTPConnection) -> None:
    """The time is over: a collector may send its answer byte by byte."""
    if connection.sock is not None:
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and value.isascii() and value.isdigit() else None


def rejected(body: bytes) -> int:
    """The spans that a collector has not accepted although its status is 200 (partial_success of OTLP)."""
    if not body:
        return 0
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    try:
        found: int = ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans
    except DecodeError:  # not protobuf: it said 200
        return 0
    return max(found, 0)
