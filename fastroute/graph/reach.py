"""Which address a connection reaches, and whether it is local or a metadata address."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

LOOPBACK, LINK_LOCAL, METADATA = "a loopback address", "a link-local address", "a metadata address"
MULTICAST = tuple(map(ip_network, ("224.0.0.0/24", "ff01::/16", "ff02::/16")))  # of the machine or the link
# IPv6 addresses that contain an IPv4 address in the last 32 bits, and reach it: IPv4-mapped and IPv4-compatible ones
# (RFC 4291 section 2.5.5), and those of NAT64 (RFC 6052 section 2.1, RFC 8215).
EMBEDDING = tuple(map(ip_network, ("::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48")))
ITSELF: dict[IPv4Address | IPv6Address, IPv4Address | IPv6Address] = {
    IPv4Address("0.0.0.0"): IPv4Address("127.0.0.1"),  # noqa: S104
    IPv6Address("::"): IPv6Address("::1"),
}
METADATA_ADDRESSES = frozenset(
    map(ip_address, ("169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16"))
)


class Reached(NamedTuple):
    address: str
    kind: str | None  # LOOPBACK, LINK_LOCAL, METADATA


def kind_of(address: str) -> str | None:
    """LOOPBACK, LINK_LOCAL, METADATA or None."""
    return reach(address).kind


@lru_cache(maxsize=16_384)
def reach(written: str) -> Reached:
    """Which address a connection to this one reaches."""
    found = plain(written)
    found = ITSELF.get(found, found)
    if found.is_loopback:
        return Reached(str(found), LOOPBACK)
    if found in METADATA_ADDRESSES:
        return Reached(str(found), METADATA)
    local = found.is_link_local or (found.is_multicast and any(found in network for network in MULTICAST))
    return Reached(str(found), LINK_LOCAL if local else None)


def plain(written: str) -> IPv4Address | IPv6Address:
    """The address, or the IPv4 address that it contains."""
    found = ip_address(written)
    if found.version == 6 and int(found) > 1 and any(found in network for network in EMBEDDING):
        return IPv4Address(int(found) & 0xFFFFFFFF)
    return found
