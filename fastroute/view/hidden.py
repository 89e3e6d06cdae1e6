"""Values that no answer of the admin API contains, replaced by HIDDEN.

A value that a header filter sets may be a credential for a backend, whatever the name of the field. A value of a match
may be one, too: the configuration has none of them, and an explanation has those whose name suggests no credential.
Tables say what is shown of each kind of filter, so that a new kind or field is hidden until it has an entry.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from fastroute.explain.explanation import Explanation
from fastroute.secrecy import HIDDEN
from fastroute.snapshot import Cors, Filter, HeaderModifier, HeaderValue, Mirror, Redirect, Rewrite, ValueMatch

FIELDS: Mapping[type, tuple[str, ...]] = {
    HeaderModifier: ("direction", "set", "add", "remove"),
    Redirect: ("status", "scheme", "hostname", "port", "full_path", "prefix"),
    Rewrite: ("hostname", "full_path", "prefix"),
    Mirror: ("backend", "numerator", "denominator"),
    Cors: ("origins", "credentials", "methods", "headers", "expose", "max_age"),
}
STEPS: Mapping[str, tuple[str, ...]] = {  # as `filters_shown` of explain writes them
    "RequestHeaderModifier": ("set", "add", "remove"),
    "ResponseHeaderModifier": ("set", "add", "remove"),
    "RequestRedirect": ("statusCode", "location"),
    "RequestMirror": ("backend", "share"),
    "URLRewrite": ("hostname", "path"),
    "CORS": (*FIELDS[Cors], "responseHeaders"),
}


def hidden_filters(filters: Iterable[Filter]) -> tuple[Filter, ...]:
    """KeyError if a kind has no entry."""
    return tuple(map(_hidden_filter, filters))


def _hidden_filter(step: Filter) -> Filter:
    shown = {name: getattr(step, name) for name in FIELDS[type(step)]}
    if isinstance(step, HeaderModifier):
        shown |= {"set": _hidden_values(step.set), "add": _hidden_values(step.add)}
    return type(step)(**shown)


def _hidden_values(fields: Iterable[HeaderValue]) -> tuple[HeaderValue, ...]:
    return tuple(HeaderValue(field.name, HIDDEN) for field in fields)


def hidden_tests(tests: Iterable[ValueMatch]) -> tuple[ValueMatch, ...]:
    return tuple(replace(test, value=HIDDEN) for test in tests)


def hidden_explanation(told: Explanation) -> Explanation:
    """Without the values that header filters set. (Of matches, an explanation never has values of credentials.)"""
    shares = told.backends
    if shares is not None:
        shares = tuple(replace(share, filters=_hidden_steps(share.filters)) for share in shares)
    return replace(told, backends=shares, filters=None if told.filters is None else _hidden_steps(told.filters))


def _hidden_steps(steps: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple(map(_hidden_step, steps))


def _hidden_step(step: dict[str, Any]) -> dict[str, Any]:
    """`set` and `add` are lists of names and values."""
    shown = {"type": step["type"], **{name: step[name] for name in STEPS.get(step["type"], ()) if name in step}}
    for part in ("set", "add"):
        if part in shown:
            shown[part] = [{**field, "value": HIDDEN} for field in shown[part]]
    return shown
