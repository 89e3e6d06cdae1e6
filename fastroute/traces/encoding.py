"""Requests as spans in bytes of OTLP (trace.proto of opentelemetry-proto). Pure.

The encoder of the SDK makes several objects for each attribute; so one request costs as much as ten requests that are
proxied. Most attributes repeat, so here their bytes are kept. The tests compare the result with that of the SDK.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from struct import Struct
from typing import Any

from fastroute.snapshot import GatewayTracing
from fastroute.traces.record import Traced
from fastroute.traces.spans import (
    ClientKind,
    ServerKind,
    added,
    client_kind,
    client_own,
    name_of,
    server_kind,
    server_own,
)

KEPT = 1_024  # kinds of spans
_SERVER, _CLIENT = 2, 3
# The end of a span: its times (fields 7 and 8), and flags (16): the parent is known to be remote, or not.
_END = Struct("<BQBQBBI").pack
_LOCAL, _REMOTE = 0x100, 0x300


def varint(number: int) -> bytes:
    """`number` >= 0."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def piece(tag: int, data: bytes) -> bytes:
    """A field with this tag whose value is bytes, text or a message."""
    size = len(data)
    return (bytes((tag, size)) if size < 128 else bytes((tag,)) + varint(size)) + data


def pairs(tag: int, attributes: Mapping[str, Any]) -> bytes:
    """KeyValues with text or numbers as values."""
    return b"".join([piece(tag, piece(0x0A, name.encode()) + _value(value)) for name, value in attributes.items()])


def _value(value: str | int) -> bytes:
    return piece(0x12, piece(0x0A, value.encode()) if isinstance(value, str) else b"\x18" + varint(value))


@lru_cache(KEPT)
def _server(kind: ServerKind) -> bytes:
    return _of_kind(kind, _SERVER)


@lru_cache(KEPT)
def _client(kind: ClientKind) -> bytes:
    return _of_kind(kind, _CLIENT)


def _of_kind(kind: ServerKind | ClientKind, number: int) -> bytes:
    """Name, kind, status and attributes."""
    start = piece(0x2A, name_of(kind.method).encode()) + bytes((0x30, number))
    return start + _status(kind) + pairs(0x4A, kind.attributes())


def _status(kind: ServerKind | ClientKind) -> bytes:
    return b"\x7a\x02\x18\x02" if kind.error else b"\x7a\x00"


def spans_of(request: Traced, tracing: GatewayTracing | None = None) -> list[bytes]:
    """The server span, then a client span for each try, each as a field `spans` of ScopeSpans. `tracing`: of the policy
    that has sampled it. ValueError: an id has no hex digits, or an endpoint no port."""
    trace = piece(0x0A, bytes.fromhex(request.trace_id))
    server = bytes.fromhex(request.span)
    start = request.started * 1000
    parent, flags = (b"", _LOCAL) if request.parent is None else (piece(0x22, bytes.fromhex(request.parent)), _REMOTE)
    times = _END(0x39, start, 0x41, start + request.duration * 1000, 0x85, 1, flags)
    said = _server_said(request, tracing)
    spans = [piece(0x12, b"".join((trace, piece(0x12, server), parent, said, times)))]
    parent = piece(0x22, server)
    for number, attempt in enumerate(request.attempts):
        begun = start + attempt.started * 1000
        times = _END(0x39, begun, 0x41, begun + attempt.duration * 1000, 0x85, 1, _LOCAL)
        id = piece(0x12, bytes.fromhex(attempt.span))
        spans.append(piece(0x12, b"".join((trace, id, parent, _client_said(request, number, tracing), times))))
    return spans


def _server_said(request: Traced, tracing: GatewayTracing | None) -> bytes:
    """Name, kind, status and attributes."""
    kind = server_kind(request)
    if tracing is None:
        return _server(kind) + pairs(0x4A, server_own(request))
    return _by_policy(kind, _SERVER, {**kind.attributes(), **server_own(request)}, request, tracing)


def _client_said(request: Traced, number: int, tracing: GatewayTracing | None) -> bytes:
    kind, own = client_kind(request, number), client_own(request, request.attempts[number])
    if tracing is None:
        return _client(kind) + pairs(0x4A, own)
    return _by_policy(kind, _CLIENT, {**kind.attributes(), **own}, request, tracing)


def _by_policy(
    kind: ServerKind | ClientKind, number: int, usual: Mapping[str, Any], request: Traced, tracing: GatewayTracing
) -> bytes:
    """The attributes of a policy replace those with the same name."""
    name = tracing.span_name or name_of(kind.method)
    attributes = pairs(0x4A, {**usual, **added(usual, request, tracing)})
    return piece(0x2A, name.encode()) + bytes((0x30, number)) + _status(kind) + attributes


def export_request(resource: Mapping[str, Any], scope: tuple[str, str], spans: Iterable[bytes]) -> bytes:
    """An ExportTraceServiceRequest. `scope`: name and version."""
    name, version = scope
    scoped = piece(0x0A, piece(0x0A, name.encode()) + piece(0x12, version.encode()))
    return piece(0x0A, piece(0x0A, pairs(0x0A, resource)) + piece(0x12, scoped + b"".join(spans)))
