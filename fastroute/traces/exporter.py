"""The thread that exports spans: it reads the lines of the workers from a pipe and sends batches to a collector.

    workers ─ lines (whole ones: PIPE_BUF) ─► pipe ─► Exporter: decode, spans ─► OTLP/HTTP, by OpenTelemetry

Neither traffic nor trio waits for it. The thread may use SHARE of a CPU: after each batch it rests. While it rests or
the collector is slow, the pipe fills, then the buffers of the workers; then they drop lines and count them. So all
memory is bounded, and tracing never costs more than this share, whatever part of the requests is sampled.
"""

import array
import fcntl
import logging
import os
import select
import termios
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from fastroute.traces.batch import Batches, own_attributes
from fastroute.traces.record import Traced

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

PACKAGE = "opentelemetry-exporter-otlp-proto-http"
PIPE = 1024 * 1024  # bytes that the kernel holds, if it allows as many
PIECE = 64 * 1024  # bytes of a batch: about 150 requests
SHARE = 0.2  # of the time of one CPU
GATHER = 0.5  # seconds after which a batch that is not full is sent
TIMEOUT = 10.0  # seconds for a batch, with all its retries; then it is lost
QUIET = 60.0  # seconds between messages about a collector
LAST = 2.0  # seconds to send what is left when the process ends
PATH = "/v1/traces"

_log = logging.getLogger(__name__)


class Counted(NamedTuple):
    """What to call with numbers of spans, and with each request. The thread calls them."""

    exported: Callable[[int], None]
    failed: Callable[[int], None]
    request: Callable[[Traced], None] = lambda _: None


def traces_url(url: str) -> str:
    """The URL for traces at a collector: OTLP adds /v1/traces to a base URL."""
    return url if urlsplit(url).path.endswith(PATH) else url.rstrip("/") + PATH


def sending(exporter: "OTLPSpanExporter") -> Callable[[bytes], Any]:
    """The function that sends an encoded batch, with the retries, headers and compression of the SDK.

    It is private: the public `export` takes only spans of the SDK, and encodes them itself (see traces/encoding.py for
    what this costs). Raises RuntimeError if it does not exist.
    """
    try:
        export: Callable[[bytes], Any] = exporter._client.export
    except AttributeError:
        raise RuntimeError(f"{PACKAGE} {version(PACKAGE)} has no `_client.export`: install version 1.45") from None
    return export


class Exporter:
    """Owns the pipe. Workers get `fd` and write lines to it."""

    def __init__(self, url: str, counted: Counted) -> None:
        """Raises OSError."""
        self._url = traces_url(url)
        self._counted = counted
        self._reader, self.fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        try:
            fcntl.fcntl(self._reader, fcntl.F_SETPIPE_SZ, PIPE)
        except OSError:
            _log.debug("the pipe of traces has the default size")
        self._thread.start()

    def close(self) -> None:
        """The workers have ended. Sends what is left, for a short time."""
        self._ended.set()
        self._thread.join(LAST)
        os.close(self.fd)  # the reader is closed by its thread, which may still use it

    def _run(self) -> None:
        try:
            self._export()
        except Exception:
            _log.exception("traces are not exported any more; restart fastroute to export them again")
        finally:
            os.close(self._reader)  # from now on, workers drop and count their lines

    def _export(self) -> None:
        """Imports here, because this takes a tenth of a second and memory that nobody else needs."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource

        logging.getLogger(OTLPSpanExporter.__module__).addFilter(Seldom())
        exporter = OTLPSpanExporter(self._url, timeout=TIMEOUT)
        send = sending(exporter)
        batches = Batches(Resource.create(dict(own_attributes())).attributes, self._counted.request)
        try:
            while data := self._next():
                spent = time.thread_time()
                batch = batches.of(data)
                if batch.spans:
                    done = send(batch.data).success
                    (self._counted.exported if done else self._counted.failed)(batch.spans)
                self._ended.wait((time.thread_time() - spent) * (1 / SHARE - 1))
        finally:
            exporter.shutdown()  # type: ignore[no-untyped-call]

    def _next(self) -> bytes:
        """What workers wrote, up to a piece; empty if they have ended and nothing is left."""
        while not self._ended.is_set():
            if select.select([self._reader], [], [], GATHER)[0]:
                self._ended.wait(GATHER if self._is_small() else 0)
                break
        try:
            return os.read(self._reader, PIECE)
        except BlockingIOError:
            return b""

    def _is_small(self) -> bool:
        """Whether less than a piece is in the pipe."""
        size = array.array("i", [0])
        fcntl.ioctl(self._reader, termios.FIONREAD, size)
        return size[0] < PIECE


class Seldom(logging.Filter):
    """Lets one message of OpenTelemetry pass per QUIET: it writes several for each batch that fails."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + QUIET
        return True
