"""Ids of backends: "ns/name:80" is a TCP port of a Service, "ns/name:53/udp" a UDP port.

"ns/name:80/h2" is a TCP port to which HTTP/2 is spoken, whatever its appProtocol: routes of some kinds need that, while
others may use the same port.

"ns/name:80/raw" is a TCP port to which connections of L4 routes pass bytes on.

"ns/name:80/@infra/edge" is a TCP port to which a Gateway shows the certificate of Secret infra/edge, if TLS is used.
Only Snapshots have such ids: the certificate depends on the listener, and the graph has a backend once for all of them.
"ns/name:80/raw/@passthrough" is likewise one for listeners that pass TLS on unread: the gateway adds no TLS of its own.
"""

import re
from collections.abc import Mapping

from fastroute.place import Transport
from fastroute.resources.core import Service, ServicePort
from fastroute.resources.meta import Key

_HTTP2 = "h2"
_RAW = "raw"
_ID = re.compile(rf"([^/]+)/([-a-z0-9.]+)(?::[0-9]+)?(?:/(?:{_HTTP2}|{_RAW}|udp))?")
PASSED = "passthrough"  # instead of a certificate: TLS is the client's, and the gateway adds none
TRANSPORTS: Mapping[str, Transport] = {one.name: one for one in Transport}  # by the protocol of a port


def backend_id(service: Key | str, port: int | None, transport: Transport) -> str:
    """
    >>> backend_id("a/x", 80, Transport.TCP), backend_id("a/x", 53, Transport.UDP)
    ('a/x:80', 'a/x:53/udp')
    """
    number = "" if port is None else f":{port}"
    return f"{service}{number}" if transport is Transport.TCP else f"{service}{number}/{transport}"


def over_http2(id_: str) -> str:
    """The id of the same port, to which HTTP/2 is spoken.

    >>> over_http2("a/x:80")
    'a/x:80/h2'
    """
    return f"{id_}/{_HTTP2}"


def as_raw(id_: str) -> str:
    """The id of the same port, to which bytes are passed on.

    >>> as_raw("a/x:80")
    'a/x:80/raw'
    """
    return f"{id_}/{_RAW}"


def showing(id_: str, certificate: str | None) -> str:
    """The id of the same port, to which a Gateway shows this certificate. `id_`: of a reference that is resolved.

    >>> showing("a/x:80", "infra/edge"), showing("a/x:80/h2", None)
    ('a/x:80/@infra/edge', 'a/x:80/h2')
    """
    return f"{id_}/@{certificate}" if certificate else id_


def certificate_of(id_: str) -> str | None:
    """
    >>> certificate_of("a/x:80/@infra/edge"), certificate_of("a/x:80")
    ('infra/edge', None)
    """
    return id_.partition("/@")[2] or None


def is_over_http2(id_: str) -> bool:
    """
    >>> is_over_http2("a/x:80/h2"), is_over_http2("a/x:80"), is_over_http2("a/h2")
    (True, False, False)
    """
    return ":" in id_ and id_.endswith(f"/{_HTTP2}")


def is_raw(id_: str) -> bool:
    """Whether bytes or datagrams are passed on to it.

    >>> is_raw("a/x:80/raw"), is_raw("a/x:53/udp"), is_raw("a/x:80"), is_raw("a/raw")
    (True, True, False, False)
    """
    return ":" in id_ and id_.endswith((f"/{_RAW}", f"/{Transport.UDP}"))


def parts_of(id_: str) -> tuple[Key, int, Transport]:
    """The Service and the port of a backend, whose id has a port.

    >>> parts_of("a/x:53/udp")
    (Key(namespace='a', name='x'), 53, <Transport.UDP: 'udp'>)
    """
    service, _, port = id_.rpartition(":")
    number, _, rest = port.partition("/")
    transport = Transport(rest) if rest not in ("", _HTTP2, _RAW) else Transport.TCP
    return Key(*service.split("/", 1)), int(number), transport


def transport_of(id_: str) -> Transport:
    """Of any id of a Snapshot.

    >>> transport_of("a/x:53/udp"), transport_of("a/x:80/raw/@infra/edge"), transport_of("a/x")
    (<Transport.UDP: 'udp'>, <Transport.TCP: 'tcp'>, <Transport.TCP: 'tcp'>)
    """
    return Transport.UDP if ":" in id_ and id_.endswith(f"/{Transport.UDP}") else Transport.TCP


def without_certificate(id_: str) -> str:
    """The id in the graph, of an id of a Snapshot.

    >>> without_certificate("a/x:80/h2/@infra/edge"), without_certificate("a/x:80")
    ('a/x:80/h2', 'a/x:80')
    """
    return id_.partition("/@")[0]


def service_of(id_: str) -> Key | None:
    """The Service of a backend, also of a refused one. None: its name is one that no Service can have.

    >>> service_of("a/x:80/h2"), service_of("a/x"), service_of("a/x/y:80"), service_of("a/x:y")
    (Key(namespace='a', name='x'), Key(namespace='a', name='x'), None, None)
    """
    found = _ID.fullmatch(id_)
    return Key(found[1], found[2]) if found else None


def find_port(service: Service, number: int, transport: Transport) -> ServicePort | None:
    """The first port with this number and transport."""
    known = service.spec.by_number.get(number, ())
    return next((port for port in known if TRANSPORTS.get(port.protocol) is transport), None)
