"""The first message to a worker, and encoded publications, which change its state from one version to another."""

from collections.abc import Sequence
from typing import NamedTuple

from fastroute.ext.reactor.counters import CounterMap
from fastroute.publication import Change, Start, publication
from fastroute.settings import ServeSettings
from fastroute.snapshot import Snapshot
from fastroute.wire import encode


class Target(NamedTuple):
    """The state that every worker should have."""

    version: int
    snapshot: Snapshot


class Parcel(NamedTuple):
    """An encoded publication: sockets are sent between the two parts."""

    opening: bytes
    closing: bytes  # the Commit, or a complete EndpointUpdate


def parcel(base: int, target: Target, changes: Sequence[Change]) -> Parcel:
    """The publication that turns version `base` into the target by `changes`."""
    *opening, closing = [encode(message) for message in publication(target.version, base, changes)]
    return Parcel(b"".join(opening), closing)


def start_message(settings: ServeSettings, counters: CounterMap) -> Start:
    return Start(
        limits=settings.limits,
        request_series=counters.requests,
        histograms=counters.histograms,
        access_log=bool(settings.access_log),
        log_format=settings.access_log_format,
        log_sample=settings.access_log_sample,
        traced=bool(settings.otlp),
        trace_sampling=settings.trace_sampling,
        drain_timeout=settings.drain_timeout,
        trusted_proxies=settings.trusted_proxies,
        proxy_protocol=settings.proxy_protocol,
        merge_slashes=settings.merge_slashes,
        keep_underscores=settings.underscores == "allow",
        installation=settings.installation,
        local_ports=settings.local_ports,
    )
