"""The addresses of this machine, or of this pod."""

import re
from ipaddress import IPv6Address
from pathlib import Path

_TRIE = Path("/proc/net/fib_trie")  # IPv4: the routes of the kernel
_IPV6 = Path("/proc/net/if_inet6")
_HOST = re.compile(r"\|-- (\S+)\n\s*/32 host LOCAL")


def machine_addresses(trie: Path = _TRIE, ipv6: Path = _IPV6) -> frozenset[str]:
    """The addresses of all interfaces. Without /proc it is empty."""
    lines = _read(ipv6).splitlines()
    return frozenset(
        (*_HOST.findall(_read(trie)), *(str(IPv6Address(bytes.fromhex(line.split()[0]))) for line in lines))
    )


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
