"""Translates filters of rules and backendRefs for the data plane, in the order in which they are written.

Routes with filters that are not served are not accepted (graph), so only served types occur here. Values from users
become part of message heads, so field values are sanitised here once (RFC 9110 section 5.5); graph/path.py does the
same for paths.
"""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from types import MappingProxyType

from fastroute.graph.path import replacing_path
from fastroute.resources.http_rule import (
    HTTPFilter,
    HTTPHeader,
    HTTPHeaderFilter,
    HTTPPathModifier,
    HTTPRequestMirrorFilter,
)
from fastroute.snapshot import Cors, Filter, HeaderModifier, HeaderValue, Mirror, Redirect, Rewrite

_OWN_PORTS = {"http": ":80", "https": ":443"}
_CONTROLS = dict.fromkeys([*range(9), *range(10, 32), 127], " ")  # all except tab

_NO_MIRRORS: Mapping[int, str] = MappingProxyType({})


def filters_of(filters: Iterable[HTTPFilter], mirrors: Mapping[int, str] = _NO_MIRRORS) -> tuple[Filter, ...]:
    """`mirrors`: the backends of RequestMirror filters, by index; filters without one are refused and omitted.

    Raises KeyError for a type that is not served: the graph should have refused the route.
    """
    made = []
    for index, written in enumerate(filters):
        if written.request_mirror is None:
            made.append(_TRANSLATE[written.type](written))
        elif index in mirrors and (mirror := _mirror(mirrors[index], written.request_mirror)):
            made.append(mirror)
    return tuple(made)


def _mirror(backend: str, written: HTTPRequestMirrorFilter) -> Mirror | None:
    """Mirrors all requests by default; None if the percentage or fraction is 0."""
    share = Fraction(1)
    if written.percent is not None:
        share = Fraction(written.percent, 100)
    elif written.fraction is not None:
        share = Fraction(written.fraction.numerator, written.fraction.denominator)
    return Mirror(backend=backend, numerator=share.numerator, denominator=share.denominator) if share else None


def _request_header_modifier(written: HTTPFilter) -> Filter:
    return _header_modifier("request", written.request_header_modifier)


def _response_header_modifier(written: HTTPFilter) -> Filter:
    return _header_modifier("response", written.response_header_modifier)


def _request_redirect(written: HTTPFilter) -> Filter:
    redirect = written.request_redirect
    assert redirect is not None, "CEL: the field must be there for its type"
    full_path, prefix = _path(redirect.path)
    return Redirect(
        status=redirect.status_code,
        scheme=redirect.scheme,
        hostname=redirect.hostname,
        port=redirect.port,
        full_path=full_path,
        prefix=prefix,
    )


def _url_rewrite(written: HTTPFilter) -> Filter:
    rewrite = written.url_rewrite
    assert rewrite is not None, "CEL: the field must be there for its type"
    full_path, prefix = _path(rewrite.path)
    return Rewrite(hostname=rewrite.hostname, full_path=full_path, prefix=prefix)


def _cors(written: HTTPFilter) -> Filter:
    cors = written.cors
    assert cors is not None, "CEL: the field must be there for its type"
    return Cors(
        origins=tuple(map(_origin, cors.allow_origins)),
        credentials=cors.allow_credentials,
        methods=cors.allow_methods,
        headers=cors.allow_headers,
        expose=cors.expose_headers,
        max_age=cors.max_age,
    )


def _origin(written: str) -> str:
    """The form that browsers send: lower case, without the default port of the scheme (WHATWG URL, "origin")."""
    scheme, _, rest = written.lower().partition("://")
    return f"{scheme}://{rest.removesuffix(_OWN_PORTS[scheme])}" if scheme in _OWN_PORTS else scheme


_TRANSLATE: dict[str, Callable[[HTTPFilter], Filter]] = {
    "RequestHeaderModifier": _request_header_modifier,
    "ResponseHeaderModifier": _response_header_modifier,
    "RequestRedirect": _request_redirect,
    "URLRewrite": _url_rewrite,
    "CORS": _cors,
}


def _header_modifier(direction: str, modifier: HTTPHeaderFilter | None) -> HeaderModifier:
    assert modifier is not None, "CEL: the field must be there for its type"
    return HeaderModifier(
        direction=direction,
        set=_values(modifier.set),
        add=_values(modifier.add),
        remove=tuple({name.lower(): name for name in reversed(modifier.remove)}.values())[::-1],
    )


def _values(headers: tuple[HTTPHeader, ...]) -> tuple[HeaderValue, ...]:
    """Names are case-insensitive; of several equal names the first counts (HTTPHeaderFilter)."""
    first = {header.name.lower(): header for header in reversed(headers)}
    return tuple(
        HeaderValue(header.name, header.value.translate(_CONTROLS).strip(" \t"))
        for header in headers
        if first[header.name.lower()] is header
    )


def _path(modifier: HTTPPathModifier | None) -> tuple[str | None, str | None]:
    """(full path, replacement of the prefix), at most one of them."""
    if modifier is None:
        return None, None
    path = replacing_path(modifier)
    return (path, None) if modifier.type == "ReplaceFullPath" else (None, path)
