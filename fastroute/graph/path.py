"""Paths of routes: values are normalised as requests' are (RFC 3986 section 6.2.2); some no request can have."""

from fastroute.ext.http1 import normalise_path
from fastroute.resources.gateway import HTTPPathMatch


def path_error(value: str) -> str | None:
    """Why no request that is let in has this path or one below it, or None."""
    try:
        normalise_path(value)
    except ValueError:
        return "it climbs above the root, or holds an escape that is not allowed"
    return None


def matched_path(written: HTTPPathMatch) -> str:
    """What requests' paths are compared with: a pattern as written, a value normalised, a prefix without its last slash
    ("/foo/" and "/foo" are the same prefix, and "/" is that of everything). ValueError for a path that no request can
    have: the graph refuses its route."""
    if written.type == "RegularExpression":
        return written.value
    value: str = normalise_path(written.value).decode("latin-1")
    return value.removesuffix("/") if written.type == "PathPrefix" else value
