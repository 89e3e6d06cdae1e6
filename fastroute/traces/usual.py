"""The thread that sends spans to the collector of --otlp, through the exporter of OpenTelemetry's SDK."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from fastroute.traces.batch import Batch
from fastroute.traces.delivery import PATH
from fastroute.traces.record import Traced

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

PACKAGE = "opentelemetry-exporter-otlp-proto-http"
TIMEOUT = 10.0  # seconds for a batch, with all its retries; then it is lost
QUIET = 60.0  # seconds between messages about the collector
WAITING_MOST = 16  # batches that wait; further ones are lost

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


class Usual:
    """Sends batches one after another."""

    def __init__(self, url: str, counted: Counted) -> None:
        self._url, self._counted = url, counted
        self._waiting: queue.Queue[Batch | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)
        self._thread.start()

    def add(self, batch: Batch) -> None:
        """Does not wait. Without room, the spans are lost and counted. For one thread only."""
        if self._waiting.qsize() >= WAITING_MOST:
            self._counted.failed(batch.spans)
            return
        self._waiting.put(batch)

    def close(self, seconds: float) -> None:
        """Sends what waits for at most that time; what is left then is counted."""
        self._waiting.put(None)
        self._thread.join(seconds)
        while not self._waiting.empty():
            if (left := self._waiting.get()) is not None:
                self._counted.failed(left.spans)

    def _run(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        logging.getLogger(OTLPSpanExporter.__module__).addFilter(Seldom())
        exporter = OTLPSpanExporter(self._url, timeout=TIMEOUT)
        try:
            send = sending(exporter)
        except RuntimeError as error:
            _log.error("traces are not exported: %s", error)
            return
        try:
            while (batch := self._waiting.get()) is not None:
                done = send(batch.data).success
                (self._counted.exported if done else self._counted.failed)(batch.spans)
        except Exception:
            _log.exception("traces are not exported any more; restart fastroute to export them again")
        finally:
            exporter.shutdown()  # type: ignore[no-untyped-call]


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
