"""A request as the matcher uses it, and a plain version of the path normalisation of ext/http1/http1.

Paths are compared in the normal form of RFC 3986 section 6.2.2: escapes of unreserved characters are decoded, the hex
digits of other escapes are in upper case, dot segments are removed. Queries are not changed.
"""

import re
from collections.abc import Iterator
from urllib.parse import SplitResult, quote, urlsplit

import msgspec

from fastroute.errors import SettingError
from fastroute.ext.http1.http1 import RequestHead, read_request
from fastroute.ext.message.fieldname import CLAIM_PREFIXES, CLAIMS
from fastroute.secrecy import shown_url

WELL_KNOWN_PORTS = {"http": 80, "https": 443}

_VISIBLE = "".join(map(chr, range(33, 127)))  # what clients send unchanged; they escape other characters
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:]*)(?::[0-9]*)?")
_REPLACED = frozenset((*CLAIMS, b"x-request-id"))  # and names that begin with one of CLAIM_PREFIXES
_GRPC = re.compile("application/grpc(-web(-text)?)?($|[+; ])", re.IGNORECASE)
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a request; its characters are bytes (latin-1). `path` is normalised; `query` is as received, and None
    without "?"."""

    method: str
    scheme: str
    authority: str  # as in Host, with the port
    path: str
    query: str | None = None
    headers: tuple[tuple[str, str], ...] = ()  # that the backend gets, including Host
    removed: frozenset[str] = frozenset()  # names in lower case: fields that the gateway removes before matching
    asked: str | None = None  # the server name (SNI) of the client's TLS; None without TLS
    max_forwards: int | None = None  # of OPTIONS and TRACE
    refused: tuple[int, str] | None = None  # status and reason if the gateway refuses the head

    @property
    def host(self) -> str:
        """The host that hostnames of listeners and routes are compared with."""
        return host_of(self.authority)

    @property
    def is_call(self) -> bool:
        """Whether it is a call of gRPC or gRPC-Web (ext/message/grpc)."""
        types = (value for field, value in self.headers if field.lower() == "content-type")
        return self.method == "POST" and _GRPC.match(next(types, "")) is not None

    @property
    def asks_for_call(self) -> bool:
        """Whether it is a preflight before a call of gRPC-Web (ext/routing/cors)."""
        named = (self.header("Access-Control-Request-Headers") or "").lower().split(",")
        return (
            self.method == "OPTIONS"
            and bool(self.header("Origin"))
            and self.header("Access-Control-Request-Method") == "POST"
            and "x-grpc-web" in map(str.strip, named)
        )

    @property
    def grpc_method(self) -> str:
        """The last part of the path "/service/method"."""
        service, _, method = self.path.rpartition("/")
        return method if service else ""

    def header(self, name: str) -> str | None:
        """The value of a field, whose name is case-insensitive; all values of a repeated field, joined by "," (RFC 9110
        section 5.3)."""
        values = [value for field, value in self.headers if field.lower() == name.lower()]
        return ",".join(values) if values else None

    def parameter(self, name: str) -> str | None:
        """The value of the first query parameter with that name, as received."""
        for parameter in (self.query or "").split("&"):
            key, _, value = parameter.partition("=")
            if parameter and key == name:
                return value
        return None


def host_of(authority: str) -> str:
    """The host of an authority: without port and trailing dot, in lower case."""
    named = _AUTHORITY.fullmatch(authority)
    return (named[1] if named else authority).lower().removesuffix(".")


def normalise_path(path: str) -> str:
    """The normal form of a path. Raises ValueError for an invalid escape, for %00, and for a path that climbs above the
    root.

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
    """The request that a client sends for `url`, and the port in the URL or None. Raises SettingError if it is no
    http(s) URL.

    The parser of the data plane reads the bytes that the client would send; `refused` is set if the gateway refuses the
    request. A Host among `headers` replaces the host of the URL, but not the server name of TLS.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError:
        raise SettingError(f"{shown_url(url)!r} is not a URL: its host or port is malformed") from None
    if parts.scheme not in WELL_KNOWN_PORTS or not parts.hostname:
        raise SettingError(f"{shown_url(url)!r} is not a URL as http://host[:port]/path[?query]")
    asked = host_of(parts.hostname) if parts.scheme == "https" else None
    return _read(method, parts, headers, has_query="?" in url.partition("#")[0], asked=asked), port


def _read(
    method: str, parts: SplitResult, headers: tuple[tuple[str, str], ...], *, has_query: bool, asked: str | None
) -> Request:
    target = quote(parts.path, _VISIBLE) or "/"
    if has_query:
        target += "?" + quote(parts.query, _VISIBLE)
    named = any(name.lower() == "host" for name, _ in headers)
    host = parts.netloc.rpartition("@")[2]
    fields = headers if named else (("Host", host), *headers)
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    head = read_request("\r\n".join(lines).encode("utf-8", "surrogateescape"))
    if not isinstance(head, RequestHead):
        refused = (400, "host_missing") if head is None else (head.status, head.reason)
        return Request(method=method, scheme=parts.scheme, authority=host, path=target, asked=asked, refused=refused)
    kept = tuple(_forwarded(head))
    return Request(
        method=method,
        scheme=parts.scheme,
        authority=head.authority.decode("latin-1"),
        path=head.path.decode("latin-1"),
        query=None if head.query is None else head.query.decode("latin-1"),
        headers=kept,
        removed=frozenset(name.lower() for name, _ in fields) - {name.lower() for name, _ in kept},
        asked=asked,
        max_forwards=head.max_forwards,
    )


def _forwarded(head: RequestHead) -> Iterator[tuple[str, str]]:
    """The fields that the gateway forwards for a client outside of --trusted-proxies, before any filter.

    Host, Content-Length and a used Upgrade are forwarded although they are not copied as other fields are.
    """
    for raw, value, dropped in head.fields:
        name = raw.lower()
        written = name in (b"host", b"content-length") or (name == b"upgrade" and head.upgrade)
        if (written or not dropped) and name not in _REPLACED and not name.startswith(CLAIM_PREFIXES):
            yield raw.decode("latin-1"), value.decode("latin-1")
