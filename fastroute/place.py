"""Place: what a socket is bound to. TCP and UDP on one port of one address are two places.

A socket is bound to the port with --port-offset. The graph compares places before the offset is added, which gives the
same result, because it is added to every port.
"""

from enum import StrEnum
from typing import NamedTuple


class Transport(StrEnum):
    TCP = "tcp"
    UDP = "udp"


class Place(NamedTuple):
    transport: Transport
    address: str  # "127.0.0.1", "0.0.0.0", "::"
    port: int

    def __str__(self) -> str:
        """
        >>> str(Place(Transport.TCP, "::1", 80)), str(Place(Transport.UDP, "127.0.0.1", 53))
        ('[::1]:80', '127.0.0.1:53/udp')
        """
        host = f"[{self.address}]" if ":" in self.address else self.address
        suffix = "" if self.transport is Transport.TCP else f"/{self.transport}"
        return f"{host}:{self.port}{suffix}"
