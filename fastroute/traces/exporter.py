"""The thread that exports spans: it reads the lines of the workers from a pipe and makes batches for collectors.

    workers ─ lines (whole ones: PIPE_BUF) ─► pipe ─► Exporter: decode, spans ─► Usual ─► the collector of --otlp
                                                                              └► Deliveries ─► those of policies

Neither traffic nor trio waits for it, and no collector delays another one: the collector of --otlp has a thread and a
queue of its own, those of policies share the threads of delivery.py. The thread that makes spans may use SHARE of a
CPU: after each batch it rests. While it rests, the pipe fills, then the buffers of the workers; then they drop lines
and count them. So all memory is bounded, and tracing never costs more than this share, whatever part of the requests is
sampled.
"""

import array
import fcntl
import logging
import os
import select
import termios
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

from fastroute.snapshot import GatewayTracing
from fastroute.traces.batch import Batches, Sorted, own_attributes
from fastroute.traces.delivery import Deliveries
from fastroute.traces.usual import Counted, Usual, traces_url

PIPE = 1024 * 1024  # bytes that the kernel holds, if it allows as many
PIECE = 64 * 1024  # bytes of a batch: about 150 requests
SHARE = 0.2  # of the time of one CPU
GATHER = 0.5  # seconds after which a batch that is not full is sent
LAST = 2.0  # seconds to send what is left when the process ends

_log = logging.getLogger(__name__)


class Exporter:
    """Owns the pipe. Workers get `fd` and write lines to it."""

    def __init__(self, url: str | None, counted: Counted) -> None:
        """`url`: of --otlp. Raises OSError."""
        self._counted = counted
        self._usual = Usual(traces_url(url), counted) if url else None
        self._deliveries = Deliveries(counted.exported, counted.failed)
        self._tracing: Mapping[str, GatewayTracing] = {}
        self._reader, self.fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        try:
            fcntl.fcntl(self._reader, fcntl.F_SETPIPE_SZ, PIPE)
        except OSError:
            _log.debug("the pipe of traces has the default size")
        self._thread.start()

    def use(self, tracing: Mapping[str, GatewayTracing]) -> None:
        """From now on, lines of policies are sent as these say; by Gateway."""
        self._tracing = tracing

    def close(self) -> None:
        """The workers have ended. Sends what is left, for a short time."""
        until = time.monotonic() + LAST
        self._ended.set()
        with suppress(BlockingIOError, BrokenPipeError):  # the pipe is full, so the thread is awake; or it has ended
            os.write(self.fd, b"\n")
        self._thread.join(LAST)
        self._deliveries.close(max(until - time.monotonic(), 0))
        if self._usual is not None:
            self._usual.close(max(until - time.monotonic(), 0))
        os.close(self.fd)  # the reader is closed by its thread, which may still use it

    def _run(self) -> None:
        try:
            self._export()
        except Exception:
            _log.exception("traces are not exported any more; restart fastroute to export them again")
        finally:
            os.close(self._reader)  # from now on, workers drop and count their lines

    def _export(self) -> None:
        """Imports when the first line has arrived: this takes a tenth of a second and memory that nobody else needs."""
        if not (data := self._next()):
            return
        from opentelemetry.sdk.resources import Resource

        batches = Batches(Resource.create(dict(own_attributes())).attributes, self._counted.request)
        while data:
            spent = time.thread_time()
            self._send(batches.of(data, self._tracing))
            self._ended.wait((time.thread_time() - spent) * (1 / SHARE - 1))
            data = self._next()

    def _send(self, found: Sorted) -> None:
        if found.lost:
            self._counted.failed(found.lost)
        for parcel in found.parcels:
            self._deliveries.add(parcel)
        if found.usual.spans and self._usual is not None:
            self._usual.add(found.usual)

    def _next(self) -> bytes:
        """What workers wrote, up to a piece; empty if they have ended and nothing is left."""
        if not self._ended.is_set():
            select.select([self._reader], [], [])  # `close` writes an empty line
            self._ended.wait(GATHER if self._is_small() else 0)
        try:
            return os.read(self._reader, PIECE)
        except BlockingIOError:
            return b""

    def _is_small(self) -> bool:
        """Whether less than a piece is in the pipe."""
        size = array.array("i", [0])
        fcntl.ioctl(self._reader, termios.FIONREAD, size)
        return size[0] < PIECE
