"""The addresses and the local ports of this machine, or of this pod."""

import re
from ipaddress import IPv6Address
from pathlib import Path

_TRIE = Path("/proc/net/fib_trie")  # IPv4: the routes of the kernel
_IPV6 = Path("/proc/net/if_inet6")
_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")  # also for IPv6
_HOST = re.compile(r"\|-- (\S+)\n\s*/32 host LOCAL")


def machine_addresses(trie: Path = _TRIE, ipv6: Path = _IPV6) -> frozenset[str]:
    """The addresses of all interfaces. Without /proc it is empty."""
    lines = _read(ipv6).splitlines()
    return frozenset(
        (*_HOST.findall(_read(trie)), *(str(IPv6Address(bytes.fromhex(line.split()[0]))) for line in lines))
    )


def local_ports(ports: Path = _PORTS) -> range:
    """The ports that the kernel chooses from for sockets that connect. Without /proc it is empty."""
    match _read(ports).split():
        case [first, last]:
            return range(int(first), int(last) + 1)
        case _:
            return range(0)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
