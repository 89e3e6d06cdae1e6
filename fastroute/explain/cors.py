"""The CORS protocol, written for readability: the plain version of ext/routing/cors (Fetch standard, "CORS protocol").

The CORS fields of a response depend only on the request's Origin; a preflight is answered by the gateway.
"""

import re

from fastroute.explain.request import Request
from fastroute.snapshot import Cors

Headers = tuple[tuple[str, str], ...]

_PREFLIGHT = "Access-Control-Request-Method"
_LABELS = re.compile(r"[-._0-9a-z]+")


def is_preflight(request: Request) -> bool:
    """Whether the request is a CORS preflight."""
    return request.method == "OPTIONS" and bool(request.header("Origin")) and bool(request.header(_PREFLIGHT))


def admits(cors: Cors, origin: str | None) -> bool:
    if not origin:
        return False
    return any(_is_of(pattern, origin.lower()) for pattern in cors.origins)


def _is_of(pattern: str, origin: str) -> bool:
    """A wildcard matches labels of a host, including dots, but nothing that ends a host."""
    if pattern == "*":
        return True
    before, star, after = pattern.partition("*")
    if not star:
        return origin == pattern
    if len(origin) <= len(before) + len(after) or not origin.startswith(before) or not origin.endswith(after):
        return False
    return _LABELS.fullmatch(origin, len(before), len(origin) - len(after)) is not None


def response_headers(cors: Cors, request: Request) -> Headers:
    """The CORS fields of every response to `request`, except exposed fields "*", which depend on the response."""
    origin = request.header("Origin")
    same = "*" in cors.origins and not cors.credentials
    said: list[tuple[str, str]] = []
    if same or admits(cors, origin):
        said.append(("Access-Control-Allow-Origin", "*" if same else str(origin)))
        if cors.credentials:
            said.append(("Access-Control-Allow-Credentials", "true"))
        if exposed := _sayable(cors, cors.expose, None):
            said.append(("Access-Control-Expose-Headers", exposed))
    return (*said, *(() if same else (("Vary", "Origin"),)))


def preflight_headers(cors: Cors, request: Request) -> Headers:
    """The CORS fields of the answer to the preflight `request`."""
    said = response_headers(cors, request)
    if not admits(cors, request.header("Origin")):
        return said
    lists = {
        "Access-Control-Allow-Methods": _sayable(cors, cors.methods, request.header(_PREFLIGHT)),
        "Access-Control-Allow-Headers": _sayable(cors, cors.headers, request.header("Access-Control-Request-Headers")),
        "Access-Control-Max-Age": str(cors.max_age),
    }
    return (*said, *((name, value) for name, value in lists.items() if value))


def _sayable(cors: Cors, configured: tuple[str, ...], otherwise: str | None) -> str | None:
    """A configured list; "*" is not allowed with credentials and replaced by what was requested."""
    return otherwise if cors.credentials and configured == ("*",) else ", ".join(configured)
