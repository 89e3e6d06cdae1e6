"""serve(): the life of a worker. trio schedules, the engine moves the bytes.

    Start                    creates an engine with these limits
    messages                 change tables, endpoints, sockets            installer.py
    Drain, or the main       the accept queues are emptied, requests in flight finish, then the process ends
    process is gone

One hot task runs a turn of the engine whenever its descriptor is readable. All other work is short or done in slices.
"""

import gc
import os
import time
from collections.abc import Iterable

import trio

from fastroute.ext.engine.engine import Engine
from fastroute.ext.reactor.accesslog import AccessLog
from fastroute.ext.reactor.counters import CounterMap
from fastroute.ext.routing.balancer import failures
from fastroute.ext.routing.tables import Upstreams
from fastroute.ext.tls.ticket import set_keys
from fastroute.publication import (
    AVOIDED,
    FAILED,
    AnnounceDrain,
    Avoided,
    Downward,
    Drain,
    Drained,
    EndpointFailures,
    FailedEndpoint,
    Listen,
    Lost,
    Ping,
    Pong,
    Start,
    TicketKeys,
    Trouble,
    Unlisten,
    Upward,
    WriteLog,
)
from fastroute.shortage import Short
from fastroute.snapshot import Endpoint
from fastroute.wire import WireError
from fastroute.worker.control import LOST, ControlStream
from fastroute.worker.installer import Installer
from fastroute.worker.slices import Slices

NO_LOG = (
    "this worker continues to write to the old access log, because it has no free file descriptor: raise the limit of "
    "open files (ulimit -n), then send SIGHUP again"
)
_LOOK = 0.01  # seconds between checks whether all requests in flight are finished
_REPORT = 1.0  # seconds between reports of lost log lines
_PROGRESS = 5.0  # seconds between two Pongs during an installation
_AGAIN = 60.0  # seconds between reports of refused connections
ROUNDS = 6  # messages with failures of endpoints in a report: they have room for all that the engine tells apart


async def serve(control: ControlStream, anchors: bytes = b"") -> None:
    """Processes messages until Drain, or until the main process is gone; then finishes the requests in flight and
    returns. `anchors`: the CA certificates of the operating system."""
    start = await control.receive()
    if not isinstance(start, Start):
        return
    counters = _counters(start, control.take_descriptor())
    log = AccessLog(control.take_descriptor(), start.log_format, start.log_sample) if start.access_log else None
    spans = AccessLog(control.take_descriptor(), "traces")
    upstreams = Upstreams()
    upstreams.trust(anchors)
    engine = _engine(start, upstreams, counters, log, spans)
    engine.heed(control.fileno())
    gc.freeze()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn_for_ever, engine)
        nursery.start_soon(report_lost_lines, log, counters, "log_dropped")
        nursery.start_soon(report_lost_lines, spans, counters, "traces_dropped")
        nursery.start_soon(report_refused, engine, control, start.limits.max_connections_per_client)
        nursery.start_soon(report_shortages, engine, control)
        nursery.start_soon(report_tls_faults, engine, control)
        nursery.start_soon(report_avoided, upstreams, control)
        nursery.start_soon(report_failures, engine, control)
        slices = Slices(engine, counters)
        nursery.start_soon(report_progress, slices, control)
        orders = Orders(control, engine, slices)
        await orders.obey_until_drain(Installer(engine, upstreams, slices), log)
        engine.drain()
        with trio.move_on_after(start.drain_timeout):
            await _finished(engine)
        nursery.cancel_scope.cancel()
    engine.close()
    for lines in filter(None, (log, spans)):
        lines.close()
    await send_failures(engine, control)
    await control.send(Drained())


def _engine(
    start: Start, upstreams: Upstreams, counters: CounterMap, log: AccessLog | None, spans: AccessLog
) -> Engine:
    return Engine(
        limits=start.limits,
        upstreams=upstreams,
        counters=counters,
        log=log,
        trusted_proxies=start.trusted_proxies,
        proxy_protocol=start.proxy_protocol,
        merge_slashes=start.merge_slashes,
        keep_underscores=start.keep_underscores,
        installation=start.installation,
        local_ports=start.local_ports,
        spans=spans,
        traced=start.traced,
        trace_sampling=start.trace_sampling,
    )


def _counters(start: Start, fd: int) -> CounterMap:
    try:
        return CounterMap(fd, requests=start.request_series, histograms=start.histograms)
    finally:
        os.close(fd)


async def turn_for_ever(engine: Engine) -> None:
    """The hot task: runs turns of the engine while descriptors are ready or work is left that no descriptor signals."""
    fd = engine.fileno()
    while True:
        await trio.lowlevel.wait_readable(fd)
        while engine.take_turns():
            await trio.lowlevel.checkpoint()


class Orders:
    """The messages of the main process, and the answers to them. Other work of the worker happens in `slices`."""

    def __init__(self, control: ControlStream, engine: Engine, slices: Slices) -> None:
        self._control = control
        self._engine = engine
        self._slices = slices

    async def obey_until_drain(self, installer: Installer, log: AccessLog | None) -> None:
        control, engine = self._control, self._engine
        self._slices.begin()
        while True:
            try:
                message = await self._next()
            except WireError:
                return
            match message:
                case None | Drain():
                    return
                case AnnounceDrain():
                    engine.announce_drain()
                case WriteLog():
                    if (descriptor := control.take_descriptor()) == LOST:
                        await self._answer(Trouble(NO_LOG))
                    elif log is not None:
                        log.reopen(descriptor)
                case Listen():
                    if (descriptor := control.take_descriptor()) == LOST:
                        await self._answer(Lost(message.place, message.slot))
                    else:
                        installer.listen(message, descriptor)
                case Unlisten():
                    installer.unlisten(message)
                case TicketKeys():
                    set_keys(message.keys)
                case Ping():
                    await self._answer(Pong())
                case Start():
                    await self._answer(Trouble("a worker starts once"))
                case _:
                    if answer := await installer.obey(message):
                        await self._answer(answer)
                        engine.wake()
                        gc.freeze()
                        await installer.finish()

    async def _next(self) -> Downward | None:
        while (message := self._control.next_message()) is None:
            self._slices.end()
            if not await self._control.receive_piece():
                return None
            self._slices.begin()
        await self._slices.step_aside()
        return message

    async def _answer(self, message: Upward) -> None:
        self._slices.end()
        await self._control.send(message)
        self._slices.begin()


async def _finished(engine: Engine) -> None:
    while not engine.statistics().drained:  # noqa: ASYNC110  (the engine sends no event for it)
        await trio.sleep(_LOOK)


# --- progress


async def report_progress(slices: Slices, control: ControlStream) -> None:
    """Sends Pongs while the other task makes progress, so that a long installation does not look like a hang."""
    while True:
        before = slices.count
        await trio.sleep(_PROGRESS)
        if slices.busy and slices.count != before:
            await control.send(Pong())


# --- the access log, traces


async def report_lost_lines(log: AccessLog | None, counters: CounterMap, counter: str) -> None:
    """Counts lost lines, if there is such a log."""
    reported = 0
    while log is not None:
        await trio.sleep(_REPORT)
        counters.count(counter, log.dropped - reported)
        reported = log.dropped


# --- clients


async def report_refused(engine: Engine, control: ControlStream, most: int) -> None:
    """Reports connections that were closed because their addresses had too many; not more often than once a minute."""
    reported = 0
    while True:
        await trio.sleep(_REPORT)
        count, last = engine.refused()
        if count != reported:
            closed = f"{count - reported} client connections were closed at once, the last one from {last}"
            why = f"an address may have {most} (--max-connections-per-client)"
            await control.send(Trouble(f"{closed}: {why}"))
            reported = count
            await trio.sleep(_AGAIN)


# --- backends


async def report_tls_faults(engine: Engine, control: ControlStream) -> None:
    """Reports failed TLS handshakes with backends; not more often than once a minute."""
    reported = 0
    while True:
        await trio.sleep(_REPORT)
        count, endpoint, why = engine.tls_faults()
        if count != reported:
            failed = f"{count - reported} TLS handshakes with backends failed, the last one with {endpoint}"
            await control.send(Trouble(f"{failed}: {why}"))
            reported = count
            await trio.sleep(_AGAIN)


async def report_avoided(upstreams: Upstreams, control: ControlStream) -> None:
    """Reports which endpoints are avoided, when that changes. While none fails, this costs nothing."""
    seen = 0
    none = reported = Avoided(frozenset(), frozenset())
    while True:
        await trio.sleep(_REPORT)
        if failures() == seen and reported == none:
            continue
        seen, labels = failures(), list[tuple[str, bool]]()
        for some in upstreams.avoided(int(time.monotonic() * 1000)):  # the clock of the engine
            labels += some
            await trio.lowlevel.checkpoint()
        avoided = Avoided(_first(labels, udp=False), _first(labels, udp=True))
        if avoided != reported:
            await control.send(avoided)
            reported = avoided


def _first(labels: Iterable[tuple[str, bool]], *, udp: bool) -> frozenset[Endpoint]:
    chosen = sorted(label for label, datagrams in labels if datagrams is udp)
    return frozenset(map(_endpoint, chosen[:AVOIDED]))


async def report_failures(engine: Engine, control: ControlStream) -> None:
    """Reports which endpoints have failed."""
    while True:
        await trio.sleep(_REPORT)
        await send_failures(engine, control)


async def send_failures(engine: Engine, control: ControlStream) -> None:
    """Sends what is not reported yet, in at most ROUNDS messages: new failures wait for the next report."""
    for _ in range(ROUNDS):
        if not (found := engine.failures(FAILED)):
            break
        await control.send(
            EndpointFailures(
                tuple(
                    FailedEndpoint(backend, _endpoint(label) if label else None, reasons)
                    for backend, label, reasons in found
                )
            )
        )
        await trio.lowlevel.checkpoint()


def _endpoint(label: str) -> Endpoint:
    """
    >>> _endpoint("[::1]:80")
    Endpoint(address='::1', port=80)
    """
    address, _, port = label.rpartition(":")
    return Endpoint(address.strip("[]"), int(port))


# --- file descriptors


async def report_shortages(engine: Engine, control: ControlStream) -> None:
    """Reports how often no descriptor was left."""
    reported = dict.fromkeys(engine.shortages(), 0)
    while True:
        await trio.sleep(_REPORT)
        for use, (count, error) in engine.shortages().items():
            if count != reported[use]:
                await control.send(Short(use, error, count - reported[use]))
                reported[use] = count
