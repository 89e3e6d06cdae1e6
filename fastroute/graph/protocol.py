"""appProtocol: maps the appProtocol of a Service port to the protocol that the port speaks.

NAMES is the complete table. It contains the names defined by Kubernetes (KEP-3726), the IANA service names of HTTP, and
names that are common in service meshes; case is ignored. A port without appProtocol speaks HTTP/1.1. A name with a
domain prefix that is not in the table is treated as HTTP/1.1, and `check` warns about it. Any other name means a
protocol other than HTTP.
"""

from collections.abc import Mapping
from enum import Enum

from fastroute.resources.core import ServicePort


class Protocol(Enum):
    HTTP1 = "HTTP/1.1"
    HTTP2 = "HTTP/2 without TLS"
    TLS = "TLS"
    HTTP2_TLS = "HTTP/2 over TLS"
    OTHER = "a protocol that is not HTTP"
    RAW = "bytes or datagrams"  # to the ports of L4 routes, whatever their appProtocol


NAMES: Mapping[str, Protocol] = {
    "": Protocol.HTTP1,
    "http": Protocol.HTTP1,
    "http/1.1": Protocol.HTTP1,
    "http-alt": Protocol.HTTP1,
    "www": Protocol.HTTP1,
    "www-http": Protocol.HTTP1,
    "ws": Protocol.HTTP1,  # a WebSocket starts as an HTTP/1.1 request
    "kubernetes.io/ws": Protocol.HTTP1,
    "h2c": Protocol.HTTP2,
    "kubernetes.io/h2c": Protocol.HTTP2,
    "http2": Protocol.HTTP2,
    "grpc": Protocol.HTTP2,
    "https": Protocol.TLS,
    "https-alt": Protocol.TLS,
    "tls": Protocol.TLS,
    "ssl": Protocol.TLS,
    "h2": Protocol.HTTP2_TLS,
    "grpcs": Protocol.HTTP2_TLS,
    "wss": Protocol.TLS,
    "kubernetes.io/wss": Protocol.TLS,
}


def protocol_of(port: ServicePort) -> Protocol:
    """The protocol that the port speaks."""
    name = (port.app_protocol or "").lower()
    return NAMES.get(name, Protocol.HTTP1 if "/" in name else Protocol.OTHER)


def is_unknown(port: ServicePort) -> bool:
    """Whether the port is treated as HTTP/1.1 although its appProtocol is unknown."""
    name = (port.app_protocol or "").lower()
    return "/" in name and name not in NAMES
