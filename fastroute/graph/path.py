"""Paths of routes: normalised like request paths (RFC 3986 section 6.2.2); some values can be no path of a request."""

from collections.abc import Iterator
from urllib.parse import quote

from fastroute.ext.http1.http1 import normalise_path
from fastroute.graph import conditions
from fastroute.graph.node import Problem
from fastroute.resources.http_rule import HTTPFilter, HTTPPathMatch, HTTPPathModifier

_PATH_CHARACTERS = "/%:@!$&'()*+,;=-._~"  # RFC 3986 `pchar`, "/", and "%" of existing escapes


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


# --- replacements


def replacement_problems(filter_: HTTPFilter, field: str) -> Iterator[Problem]:
    """`field`: path of the filter."""
    for name, part in (("requestRedirect", filter_.request_redirect), ("urlRewrite", filter_.url_rewrite)):
        if part is None or part.path is None:
            continue
        key = "replaceFullPath" if part.path.type == "ReplaceFullPath" else "replacePrefixMatch"
        if error := path_error(_written_path(part.path)):
            what = f"the value {_replacement(part.path)} cannot be used as a path: {error}."
            yield conditions.unsupported_value(what, f"{field}.{name}.path.{key}", "Use another path.")


def replacing_path(modifier: HTTPPathModifier) -> str:
    """The normalised replacement. It starts with one "/": some clients interpret a path that starts with "//" as a
    host. The replacement of a prefix has no trailing "/" (the specification ignores it), so it can be empty. Raises
    ValueError where replacement_problems reports a problem."""
    normal: str = normalise_path(_written_path(modifier)).decode("latin-1")
    path = "/" + normal.lstrip("/")
    return path if modifier.type == "ReplaceFullPath" else path.rstrip("/")


def _written_path(modifier: HTTPPathModifier) -> str:
    """The value with escapes instead of characters that are not allowed in a path."""
    return "/" + quote(_replacement(modifier), _PATH_CHARACTERS).removeprefix("/")


def _replacement(modifier: HTTPPathModifier) -> str:
    full = modifier.type == "ReplaceFullPath"
    return (modifier.replace_full_path if full else modifier.replace_prefix_match) or ""
