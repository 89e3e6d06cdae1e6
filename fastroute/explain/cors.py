"""The CORS protocol, written to be read: the plain form of ext/cors (Fetch standard, "CORS protocol").

What the response to a request must say follows from the request's Origin alone; a preflight is answered here and now.
"""

from fastroute.explain.request import Request
from fastroute.snapshot import Cors

Headers = tuple[tuple[str, str], ...]

_PREFLIGHT = "Access-Control-Request-Method"


def is_preflight(request: Request) -> bool:
    """Whether a browser asks if it may ask."""
    return request.method == "OPTIONS" and bool(request.header("Origin")) and bool(request.header(_PREFLIGHT))


def admits(cors: Cors, origin: str | None) -> bool:
    if not origin:
        return False
    return any(_is_of(pattern, origin.lower()) for pattern in cors.origins)


def _is_of(pattern: str, origin: str) -> bool:
    """A wildcard stands for labels of a host, dots included, and for no port."""
    if pattern == "*":
        return True
    before, star, after = pattern.partition("*")
    if not star:
        return origin == pattern
    if len(origin) <= len(before) + len(after) or not origin.startswith(before) or not origin.endswith(after):
        return False
    labels = origin[len(before) : len(origin) - len(after)]
    return ":" not in labels and "/" not in labels


def response_headers(cors: Cors, request: Request) -> Headers:
    """What every response to `request` says. Without "*" for the fields to expose: that depends on the response."""
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
    """What the answer to the preflight `request` says."""
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
    """A list as configured; in place of "*", which credentials forbid, what was asked for."""
    return otherwise if cors.credentials and configured == ("*",) else ", ".join(configured)
