"""The representation of matches, filters, retries and sessions in an explanation: names and structures of the Gateway
API."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from fastroute.explain.cors import Headers, response_headers
from fastroute.explain.filtering import Answered, Preflighted, Redirected, filter_request
from fastroute.explain.matching import Found
from fastroute.explain.request import Request
from fastroute.secrecy import shown_value
from fastroute.snapshot import (
    Cors,
    Filter,
    HeaderModifier,
    Mirror,
    Retry,
    Rewrite,
    Session,
    ValueMatch,
    backend_label,
)


def match_shown(found: Found) -> dict[str, Any]:
    match = found.match
    return {
        "index": found.index,
        "hostname": found.hostname or None,
        "path": {"type": match.path.type, "value": match.path.value or "/"},
        "method": match.method,
        "headers": list(map(_test_shown, match.headers)),
        "queryParams": list(map(_test_shown, match.query)),
    }


def _test_shown(test: ValueMatch) -> dict[str, str]:
    """The value of a field or parameter that may be a credential is hidden."""
    return {"name": test.name, "value": shown_value(test.name, test.value), "type": test.type}


def retry_shown(retry: Retry) -> dict[str, Any]:
    """`backoff`: the delay before the first retry."""
    return {"attempts": retry.attempts, "codes": list(retry.codes), "backoff": f"{retry.backoff_ms}ms"}


def session_shown(session: Session) -> dict[str, Any]:
    """`path`: of the cookie; `lifetime`: in seconds, None if unlimited; `holds`: what a token selects."""
    return {
        "type": "Header" if session.header else "Cookie",
        "name": session.name,
        "path": None if session.header else session.path,
        "lifetime": session.lifetime_s or None,
        "permanent": session.permanent,
        "holds": "backend and endpoint" if session.holds_backend else "endpoint",
    }


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """Which filters of a list act on the request and on its response."""

    changed: bool  # no filter answers: a backend is selected for the request as changed by the filters
    forwarded: bool  # a backend gets it: mirrors act, and response filters act on the backend's response
    of_rule: bool = True  # response modifiers of a rule also act on the gateway's own responses


def filters_shown(
    filters: Iterable[Filter], request: Request, prefix: int, port: int, effect: Effect
) -> Iterator[dict[str, Any]]:
    """Each filter that acts, and its effect on this request, as changed by the filters before it."""
    answered = False
    for step in filters:
        if isinstance(step, HeaderModifier) and step.direction == "response":
            if effect.forwarded or effect.of_rule:
                yield _modifier_shown(step)
        elif not answered:
            after = filter_request((step,), request, prefix, port)
            yield from _step_shown(step, request, after, effect)
            if isinstance(after, Request):
                request = after
            else:
                answered = True


def _step_shown(step: Filter, request: Request, after: Request | Answered, effect: Effect) -> Iterator[dict[str, Any]]:
    if isinstance(after, Redirected):
        yield {"type": "RequestRedirect", "statusCode": after.status, "location": after.location}
    elif isinstance(step, Cors):
        preflighted = isinstance(after, Preflighted)
        yield _cors_shown(step, after.headers if preflighted else response_headers(step, request))
    elif isinstance(step, HeaderModifier) and effect.changed:
        yield _modifier_shown(step)
    elif isinstance(step, Mirror) and effect.forwarded:
        yield {
            "type": "RequestMirror",
            "backend": backend_label(step.backend),
            "share": f"{step.numerator}/{step.denominator}",
        }
    elif isinstance(step, Rewrite) and isinstance(after, Request) and effect.changed:
        path = None if after.path == request.path else after.path
        yield {"type": "URLRewrite", "hostname": step.hostname, "path": path}


def _cors_shown(cors: Filter, headers: Headers) -> dict[str, Any]:
    """`responseHeaders`: the CORS headers in the response to this request."""
    settings = {name: value for name, value in msgspec.to_builtins(cors).items() if name != "type"}
    return {"type": "CORS", **settings, "responseHeaders": [{"name": name, "value": value} for name, value in headers]}


def _modifier_shown(modifier: HeaderModifier) -> dict[str, Any]:
    return {
        "type": "RequestHeaderModifier" if modifier.direction == "request" else "ResponseHeaderModifier",
        "set": [msgspec.to_builtins(field) for field in modifier.set],
        "add": [msgspec.to_builtins(field) for field in modifier.add],
        "remove": list(modifier.remove),
    }
