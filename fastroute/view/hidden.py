"""Values that no answer of the admin API contains, replaced by HIDDEN.

A value that a header filter sets may be a credential for a backend, whatever the name of the field. Values of matches
are hidden if the name of the field or parameter suggests a credential.
"""

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from fastroute.explain.explanation import Explanation
from fastroute.secrecy import HIDDEN, shown_value
from fastroute.snapshot import Filter, HeaderModifier, HeaderValue, ValueMatch


def hidden_filters(filters: Iterable[Filter]) -> tuple[Filter, ...]:
    return tuple(map(_hidden_filter, filters))


def _hidden_filter(step: Filter) -> Filter:
    if isinstance(step, HeaderModifier):
        return replace(step, set=_hidden_values(step.set), add=_hidden_values(step.add))
    return step


def _hidden_values(fields: Iterable[HeaderValue]) -> tuple[HeaderValue, ...]:
    return tuple(HeaderValue(field.name, HIDDEN) for field in fields)


def hidden_tests(tests: Iterable[ValueMatch]) -> tuple[ValueMatch, ...]:
    return tuple(replace(test, value=shown_value(test.name, test.value)) for test in tests)


def hidden_explanation(told: Explanation) -> Explanation:
    """Without the values that header filters set. (Of matches, an explanation never has values of credentials.)"""
    shares = told.backends
    if shares is not None:
        shares = tuple(replace(share, filters=_hidden_steps(share.filters)) for share in shares)
    return replace(told, backends=shares, filters=None if told.filters is None else _hidden_steps(told.filters))


def _hidden_steps(steps: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple(map(_hidden_step, steps))


def _hidden_step(step: dict[str, Any]) -> dict[str, Any]:
    """As `filters_shown` shows it: `set` and `add` are lists of names and values."""
    if not str(step["type"]).endswith("HeaderModifier"):
        return step
    return {**step, **{part: [{**field, "value": HIDDEN} for field in step[part]] for part in ("set", "add")}}
