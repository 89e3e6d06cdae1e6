"""A request as the matcher sees it, and the plain form of the normalisation that ext/http1 does in C.

Paths are compared after RFC 3986 section 6.2.2: escapes of unreserved characters decoded, the hex digits of the others
in upper case, dot segments removed. Queries stay as received.
"""

import re
from urllib.parse import quote, urlsplit

import msgspec

from fastroute.errors import SettingError

WELL_KNOWN_PORTS = {"http": 80, "https": 443}

_VISIBLE = "".join(map(chr, range(33, 127)))  # what clients send as it is; the rest they escape
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:]*)(?::[0-9]*)?")
_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a request. `path` is normalised, `query` as received and None without "?"."""

    method: str
    scheme: str
    authority: str  # as in Host, with its port
    path: str
    query: str | None = None
    headers: tuple[tuple[str, str], ...] = ()  # Host among them
    asked: str | None = None  # the name that TLS asks for; None: the host, or no TLS

    @property
    def host(self) -> str:
        """What listeners' and routes' hostnames are compared with."""
        return host_of(self.authority)

    def header(self, name: str) -> str | None:
        """The value of a field, case of the name ignored; of a repeated one all values, joined by "," (RFC 9110
        section 5.3)."""
        values = [value for field, value in self.headers if field.lower() == name.lower()]
        return ",".join(values) if values else None

    def parameter(self, name: str) -> str | None:
        """The value of the first query parameter of that name, as received."""
        for parameter in (self.query or "").split("&"):
            key, _, value = parameter.partition("=")
            if parameter and key == name:
                return value
        return None


def host_of(authority: str) -> str:
    """The host of an authority: without port and final dot, in lower case."""
    named = _AUTHORITY.fullmatch(authority)
    return (named[1] if named else authority).lower().removesuffix(".")


def normalise_path(path: str) -> str:
    """The one form of all paths that mean the same. ValueError: a broken escape, %00, one that climbs above the root.

    `path` starts with "/"; characters are bytes (latin-1).
    """
    escaped = _ESCAPE.sub(_normal_escape, path.encode("latin-1")).decode("latin-1")
    segments: list[str] = []
    written = escaped.split("/")[1:]
    for segment in written:
        if segment == "..":
            if not segments:
                raise ValueError(f"the path {path!r} climbs above the root")
            segments.pop()
        elif segment != ".":
            segments.append(segment)
    if written and written[-1] in (".", ".."):
        segments.append("")  # "/a/b/.." is the folder "/a/"
    return "/" + "/".join(segments)


def _normal_escape(escape: re.Match[bytes]) -> bytes:
    if escape[1] is None or escape[1] == b"00":
        raise ValueError(f"'%' at byte {escape.start()} of a path begins no escape that is allowed")
    byte = bytes.fromhex(escape[1].decode())
    return byte if byte[0] in _UNRESERVED else b"%" + escape[1].upper()


def parse_url(method: str, url: str, headers: tuple[tuple[str, str], ...] = ()) -> tuple[Request, int | None]:
    """The request a client makes for `url`, and the port that the URL names, if it does. A Host among `headers`
    replaces the URL's host, but not in the name that TLS asks for. SettingError: no http or https URL, or one that
    the gateway answers with 400."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError as error:
        raise SettingError(f"{url!r} is not a URL: {error}") from error
    if parts.scheme not in WELL_KNOWN_PORTS or not parts.hostname:
        raise SettingError(f"{url!r} is not a URL as http://host[:port]/path[?query]")
    if not _TOKEN.fullmatch(method):
        raise SettingError(f"{method!r} is no method: such a request is answered with 400")
    authority = next((value for name, value in headers if name.lower() == "host"), parts.netloc.rpartition("@")[2])
    others = tuple((name, value) for name, value in headers if name.lower() != "host")
    try:
        path = normalise_path(quote(parts.path, _VISIBLE) or "/")
    except ValueError as error:
        raise SettingError(f"{url!r} is answered with 400: {error}") from error
    request = Request(
        method=method,
        scheme=parts.scheme,
        authority=authority,
        path=path,
        query=quote(parts.query, _VISIBLE) if "?" in url.partition("#")[0] else None,
        headers=(("Host", authority), *others),
        asked=host_of(parts.hostname) if parts.scheme == "https" else None,
    )
    return request, port
