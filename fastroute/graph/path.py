"""Whether any request can have a route's path: values are normalised as requests' are (RFC 3986 section 6.2.2)."""

from fastroute.ext.http1 import normalise_path


def path_error(value: str) -> str | None:
    """Why no request that is let in has this path or one below it, or None."""
    try:
        normalise_path(value)
    except ValueError:
        return "it climbs above the root, or holds an escape that is not allowed"
    return None
