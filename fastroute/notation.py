"""How users write values on the command line and in FASTROUTE_* variables: times, sizes, addresses, names.

Each function takes the text of one value and returns the value, or raises SettingError with the accepted forms.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from fastroute.errors import SettingError
from fastroute.secrecy import shown_url

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SIZE = re.compile(r"(\d+)(KiB|MiB|GiB|)")
_RATIO = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE]-?\d+)?", re.ASCII)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HOST_NAME = re.compile(r"[a-z0-9]([-a-z0-9._]*[a-z0-9])?")


def duration(text: str | float) -> float:
    """`1m30s` -> 90.0 seconds; a bare `0` is zero too."""
    if isinstance(text, float):
        return text
    parts = list(_DURATION.finditer(text))
    if text == "0":
        return 0.0
    if not parts or "".join(part[0] for part in parts) != text:
        raise SettingError(f"{text!r} is not a time: write it as 500ms, 30s, 5m or 1m30s")
    return sum(float(part[1]) * _SECONDS[part[2]] for part in parts)


def shown_duration(seconds: float) -> str:
    """The shortest way to write `seconds`: 75.0 -> `75s`, 0.5 -> `500ms`."""
    if seconds != int(seconds):
        return f"{round(seconds * 1000)}ms"
    return f"{int(seconds)}s"


def size(text: str | int) -> int:
    """`64KiB` -> 65536 bytes; a bare number is bytes."""
    if isinstance(text, int):
        return text
    found = _SIZE.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise SettingError(f"{text!r} is not a size: write bytes as 65536, or 64KiB, 1MiB, 1GiB")
    return int(found[1]) * _BYTES[found[2]]


def rate(text: str | int) -> int:
    """`1KiB/s` or `1KiB` -> 1024 bytes per second; `off` -> 0."""
    if isinstance(text, int):
        return text
    if text == "off":
        return 0
    try:
        return size(text.removesuffix("/s"))
    except SettingError:
        raise SettingError(f"{text!r} is not a rate: write 1KiB/s, or off") from None


def ratio(text: str | float) -> float:
    """`0.01` -> 0.01; from 0 to 1."""
    if isinstance(text, float):
        return text
    if not _RATIO.fullmatch(text) or float(text) > 1:
        raise SettingError(f"{text!r} is not a ratio: write a number from 0 to 1, such as 0.01")
    return float(text)


def collector(text: str) -> str:
    """`off`, or an http or https URL without query and fragment."""
    if text != "off":
        try:
            found = urlsplit(text)
            sound = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
        except ValueError:
            sound = False
        if not sound or found.query or found.fragment:
            raise SettingError(
                f"{shown_url(text)!r} is not a URL of a collector, such as http://127.0.0.1:4318, or off"
            )
    return text


def shown_ratio(part: float) -> str:
    """1.0 -> `1`; 0.01 -> `0.01`."""
    return f"{part:g}"


def shown_size(count: int | None) -> str:
    """65536 -> `64KiB`; None -> `no limit`."""
    if count is None:
        return "no limit"
    for unit, factor in reversed(_BYTES.items()):
        if count % factor == 0:
            return f"{count // factor}{unit}"
    raise AssertionError("1 divides everything")


def address(text: str) -> str:
    """An IPv4 or IPv6 address; brackets around an IPv6 address are accepted. An IPv4-mapped one is an IPv4 address."""
    try:
        found = ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
        return str(getattr(found, "ipv4_mapped", None) or found)
    except ValueError:
        raise SettingError(f"{text!r} is not an IP address, such as 127.0.0.1, 0.0.0.0 or ::") from None


def reached_at(text: str) -> str:
    """The address that clients use: an IP address, or `service/NAMESPACE/NAME` for the addresses of that Service."""
    kind, slash, name = text.partition("/")
    if kind == "service" and slash:
        return f"service/{object_name(name)}"
    try:
        return address(text)
    except SettingError:
        raise SettingError(f"{text!r} is neither an IP address nor service/NAMESPACE/NAME") from None


def socket_address(text: str) -> tuple[str, int] | None:
    """`127.0.0.1:9900`, `[::]:9900`, `:9900` (all addresses); `off` -> None."""
    if text == "off":
        return None
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not int(port) < 65536 or (":" in host and not host.startswith("[")):
        raise SettingError(f"{text!r} is not an address with a port: write it as 127.0.0.1:9900, [::]:9900, or off")
    return address(host or "::"), int(port)


def own_address(text: str) -> tuple[str, int] | None:
    """A socket address, also written as the URL of what answers there."""
    return socket_address(text.partition("://")[2].rstrip("/") if "://" in text else text)


def network(text: str) -> str:
    """A CIDR block; a single address is a block of one."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise SettingError(f"{text!r} is not a CIDR block, such as 10.0.0.0/8 or fd00::/8") from None


def object_name(text: str) -> str:
    """`NAMESPACE/NAME`."""
    namespace, slash, name = text.partition("/")
    if not slash or not _NAME.fullmatch(namespace) or not _NAME.fullmatch(name):
        raise SettingError(f"{text!r} does not name an object: write it as NAMESPACE/NAME")
    return text


def namespace_name(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise SettingError(f"{text!r} is not the name of a namespace")
    return text


def host(text: str) -> str:
    """A DNS name or an IP address without a port, as `plain_host` writes it.

    >>> host("Ops.example"), host("[FD00::0:1]")
    ('ops.example', 'fd00::1')
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    name = plain_host(bare)
    if not _HOST_NAME.fullmatch(name) and _address(bare) is None:
        raise SettingError(
            f"{text!r} is not a host: write fastroute.example.com or 10.0.0.1 or fd00::1, without a port"
        )
    return name


def plain_host(text: str) -> str:
    """One form of a name or an IP address: in lower case, an IPv4 address without its IPv6 form.

    >>> plain_host("FD00::0:1"), plain_host("::ffff:10.0.0.1"), plain_host("A.example")
    ('fd00::1', '10.0.0.1', 'a.example')
    """
    address = _address(text)
    if address is None:
        return text.lower()
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def headers(texts: Iterable[str]) -> list[tuple[str, str]]:
    """Each is `Name: value`, as curl accepts it. An error does not repeat the text: all of it may be a value."""
    found = []
    for number, text in enumerate(texts, 1):
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            part = "name" if colon else "colon"
            raise SettingError(f"header {number} has no {part}: write it as 'Name: value'")
        found.append((name.strip(), value.strip()))
    return found


def one_of(*choices: str) -> Callable[[str], str]:
    """Accepts one of these words."""

    def read(text: str) -> str:
        if text not in choices:
            raise SettingError(f"{text!r} is not one of {', '.join(choices)}")
        return text

    return read
