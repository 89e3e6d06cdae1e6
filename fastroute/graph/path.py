"""Paths of routes: normalised like request paths (RFC 3986 section 6.2.2); some values can match no request."""

from fastroute.ext.http1.http1 import normalise_path
from fastroute.resources.http_rule import HTTPPathMatch


def path_error(value: str) -> str | None:
    """Why no accepted request can have this path or one below it; None if one can."""
    try:
        normalise_path(value)
    except ValueError:
        return "it goes above the root, or contains an invalid escape"
    return None


def matched_path(written: HTTPPathMatch) -> str:
    """The value that request paths are compared with: a pattern as written; any other value normalised, a prefix also
    without its trailing slash ("/foo/" and "/foo" are the same prefix, and "/" matches everything). Raises ValueError
    for a path that no request can have: the graph refuses such a route."""
    if written.type == "RegularExpression":
        return written.value
    value: str = normalise_path(written.value).decode("latin-1")
    return value.removesuffix("/") if written.type == "PathPrefix" else value
