"""Applies filters to a request and its response: the plain version of ext/routing/filters, written for readability.

Filters of the rule are applied before those of the selected backendRef, each list in the order in which it is written
(Gateway API, HTTPRouteRule.filters). A redirect is the last one: it uses the request as changed by the filters before
it.
"""

from collections.abc import Iterable

import msgspec

from fastroute.explain.cors import admits, is_preflight, preflight_headers, response_headers
from fastroute.explain.request import WELL_KNOWN_PORTS, Request, host_of
from fastroute.snapshot import Cors, Filter, HeaderModifier, Redirect, Rewrite

Headers = tuple[tuple[str, str], ...]


class Redirected(msgspec.Struct, frozen=True):
    """A request that a filter answers with a redirect."""

    status: int
    location: str


class Preflighted(msgspec.Struct, frozen=True):
    """A CORS preflight that a filter answers."""

    headers: Headers
    status: int = 204


Answered = Redirected | Preflighted


def filter_request(filters: Iterable[Filter], request: Request, prefix: int, port: int) -> Request | Answered:
    """The request as the backend gets it, or the answer of a filter. `prefix`: number of characters of the path that
    the matched PathPrefix covers; `port`: of the listener."""
    for step in filters:
        if isinstance(step, Redirect):
            return Redirected(step.status, location(step, request, prefix, port))
        if isinstance(step, Cors):
            if is_preflight(request):
                return Preflighted(preflight_headers(step, request))
        elif isinstance(step, Rewrite):
            request = rewritten(step, request, prefix)
        elif isinstance(step, HeaderModifier) and step.direction == "request":
            request = _modified_request(step, request)
    return request


def _modified_request(modifier: HeaderModifier, request: Request) -> Request:
    """Setting Host changes the authority of the request; Host cannot be added to or removed."""
    hosts = [field.value for field in modifier.set if _is_host(field.name)]
    others = HeaderModifier(
        direction=modifier.direction,
        set=tuple(field for field in modifier.set if not _is_host(field.name)),
        add=tuple(field for field in modifier.add if not _is_host(field.name)),
        remove=tuple(name for name in modifier.remove if not _is_host(name)),
    )
    request = msgspec.structs.replace(request, headers=modified(others, request.headers))
    return rewritten(Rewrite(hostname=hosts[0]), request, 0) if hosts else request


def _is_host(name: str) -> bool:
    return name.lower() == "host"


def filter_response(filters: Iterable[Filter], headers: Headers, request: Request | None = None) -> Headers:
    """The response's fields as the client gets them. `request`: needed by CORS filters."""
    for step in filters:
        if isinstance(step, Cors) and request is not None:
            headers = _cors_response(step, headers, request)
        if isinstance(step, HeaderModifier) and step.direction == "response":
            headers = modified(step, headers)
    return headers


def _cors_response(cors: Cors, headers: Headers, request: Request) -> Headers:
    """Replaces the backend's Access-Control-* fields by those of the gateway."""
    kept = tuple((name, value) for name, value in headers if not name.lower().startswith("access-control-"))
    said = response_headers(cors, request)
    if cors.credentials and cors.expose == ("*",) and admits(cors, request.header("Origin")) and kept:
        said = (("Access-Control-Expose-Headers", ", ".join(name for name, _ in kept)), *said)
    listed = {item.strip().lower() for name, value in kept if name.lower() == "vary" for item in value.split(",")}
    return (*kept, *(field for field in said if field[0] != "Vary" or not listed & {"*", "origin"}))


def modified(modifier: HeaderModifier, headers: Headers) -> Headers:
    """`set` keeps one field of the name, in the place of the first one; `add` appends to the last one; `remove` removes
    all."""
    kept = [(name, value) for name, value in headers if name.lower() not in map(str.lower, modifier.remove)]
    for field in modifier.set:
        first, *others = _indexes(kept, field.name) or [len(kept)]
        kept[first : first + 1] = [(kept[first][0] if first < len(kept) else field.name, field.value)]
        kept = [pair for index, pair in enumerate(kept) if index not in others]
    for field in modifier.add:
        if indexes := _indexes(kept, field.name):
            name, value = kept[indexes[-1]]
            kept[indexes[-1]] = (name, f"{value},{field.value}")
        else:
            kept.append((field.name, field.value))
    return tuple(kept)


def _indexes(headers: list[tuple[str, str]], name: str) -> list[int]:
    return [index for index, (field, _) in enumerate(headers) if field.lower() == name.lower()]


def rewritten(rewrite: Rewrite, request: Request, prefix: int) -> Request:
    authority = request.authority if rewrite.hostname is None else rewrite.hostname
    path = replaced_path(rewrite, request.path, prefix)
    headers = tuple((name, authority if _is_host(name) else value) for name, value in request.headers)
    return msgspec.structs.replace(request, authority=authority, path=path, headers=headers)


def replaced_path(change: Rewrite | Redirect, path: str, prefix: int) -> str:
    """The path after ReplaceFullPath or ReplacePrefixMatch, or unchanged. Never empty, and never starts with "//",
    which some clients interpret as a host."""
    if change.full_path is not None:
        return change.full_path
    if change.prefix is None:
        return path
    new, rest = change.prefix.removesuffix("/"), path[prefix:]
    return new + rest if new else "/" + rest.lstrip("/")


def location(redirect: Redirect, request: Request, prefix: int, port: int) -> str:
    """The Location of a redirect. Parts that the filter does not set come from the request. The port comes from the
    scheme if the filter sets it, otherwise from the listener, and is omitted if it is the scheme's default
    (HTTPRequestRedirectFilter).
    """
    scheme = redirect.scheme or request.scheme
    host = redirect.hostname or host_of(request.authority)
    number = redirect.port or (WELL_KNOWN_PORTS[scheme] if redirect.scheme else port)
    authority = host if number == WELL_KNOWN_PORTS[scheme] else f"{host}:{number}"
    query = "" if request.query is None else f"?{request.query}"
    return f"{scheme}://{authority}{replaced_path(redirect, request.path, prefix)}{query}"
