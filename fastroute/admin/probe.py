"""Probes: requests for /healthz and /readyz. If they fail, the kubelet restarts the container or removes the pod from
Services.

They cost little, so they never wait for the requests of other clients. This module answers a plain GET in HTTP/1
without Hypercorn, in a fraction of the time, and closes the connection. Hypercorn answers all other requests.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

MOST_HEALTH = 128  # connections to --health
MOST_METRICS = 56  # connections to --metrics
MOST_ADMIN = 8  # connections to --admin. All are taken from the RESERVE of descriptors.py

Probes = Mapping[str, Callable[[], tuple[int, str]]]  # status and text by path

_END = re.compile(rb"\n\r?\n")
# RFC 9112, sections 3 and 5. Only plain heads match; Hypercorn handles the others, for example a head without Host. The
# head must not be followed by a body or another request.
_PLAIN = re.compile(rb"GET (/[a-z]+)(?:\?[!-~]*)? HTTP/1\.[01]\r\n((?:[!-9;-~]+:[\t -~\x80-\xff]*\r\n)*)\r\n")
_HOST = re.compile(rb"^host:", re.IGNORECASE | re.MULTILINE)
_BODY = re.compile(rb"^(?:content-length|transfer-encoding|expect):", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Site:
    """What an endpoint serves: an ASGI application, its probes, and how many connections it may have."""

    application: Any
    probes: Probes
    connections: int


def is_complete(data: bytes | bytearray, limit: int) -> bool:
    """Whether no more data is needed to decide who answers: a whole head, or no head at all."""
    return _END.search(data) is not None or len(data) > limit or (data[:1] != b"" and not data[:1].isalpha())


def probed(data: bytes | bytearray, probes: Probes) -> Callable[[], tuple[int, str]] | None:
    """The probe for which this is a complete and plain request."""
    match = _PLAIN.fullmatch(data)
    if match is None or len(_HOST.findall(match[2])) != 1 or _BODY.search(match[2]):
        return None
    return probes.get(match[1].decode())


def response(status: int, text: str, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A response after which the connection closes. `fields`: further ones, such as Date."""
    body = text.encode()
    head = [
        b"HTTP/1.1 %d %s" % (status, HTTPStatus(status).phrase.encode()),
        b"content-type: text/plain; charset=utf-8",
        b"content-length: %d" % len(body),
        b"connection: close",
        *(b"%s: %s" % field for field in fields),
    ]
    return b"\r\n".join(head) + b"\r\n\r\n" + body
