"""Ids of backends: "ns/name:80" is a TCP port of a Service, "ns/name:53/udp" a UDP port."""

from collections.abc import Mapping

from fastroute.place import Transport
from fastroute.resources.core import Service, ServicePort
from fastroute.resources.meta import Key

TRANSPORTS: Mapping[str, Transport] = {one.name: one for one in Transport}  # by the protocol of a port


def backend_id(service: Key | str, port: int | None, transport: Transport) -> str:
    """
    >>> backend_id("a/x", 80, Transport.TCP), backend_id("a/x", 53, Transport.UDP)
    ('a/x:80', 'a/x:53/udp')
    """
    number = "" if port is None else f":{port}"
    return f"{service}{number}" if transport is Transport.TCP else f"{service}{number}/{transport}"


def parts_of(id_: str) -> tuple[Key, int, Transport]:
    """The Service and the port of a backend, whose id has a port.

    >>> parts_of("a/x:53/udp")
    (Key(namespace='a', name='x'), 53, <Transport.UDP: 'udp'>)
    """
    service, _, port = id_.rpartition(":")
    number, _, transport = port.partition("/")
    return Key(*service.split("/")), int(number), Transport(transport) if transport else Transport.TCP


def find_port(service: Service, number: int, transport: Transport) -> ServicePort | None:
    """The first port with this number and transport."""
    known = service.spec.by_number.get(number, ())
    return next((port for port in known if TRANSPORTS.get(port.protocol) is transport), None)
