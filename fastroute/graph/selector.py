"""Label selectors over Namespaces, as Kubernetes' labels.Selector evaluates them.

All parts must match (AND). An empty selector matches everything; NotIn and DoesNotExist also match objects without the
key. A selector that Kubernetes would reject matches nothing, and `mistake` returns the reason.

A selector may have thousands of values, and every route asks every listener. So each selector remembers its results.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from fastroute.listed import shortened
from fastroute.nearest import nearest
from fastroute.resources.core import Namespace
from fastroute.resources.defaults import NAME_LABEL
from fastroute.resources.gateway import LabelSelector, LabelSelectorRequirement

NAME = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)")
PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
MOST_REMEMBERED = 256  # results of a selector
VALUED = {"In": True, "NotIn": True, "Exists": False, "DoesNotExist": False}  # operator -> must have values


def labels_of(known: Namespace | None, name: str) -> Mapping[str, str]:
    """The labels of Namespace `name`. It is assumed to exist, with its name as a label, also if it was not read."""
    return {**(known.metadata.labels if known else {}), NAME_LABEL: name}


def unknown_labels(known: Namespace | None) -> str:
    """That the labels of a Namespace could not be read, as a sentence after others; empty if they are known."""
    if known is None or not known.omission:
        return ""
    return f" The labels of namespace {known.metadata.name} {known.omission}."


def is_label_key(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= 253 and PREFIX.fullmatch(prefix)):
        return False
    return NAME.fullmatch(name) is not None


def is_label_value(value: str) -> bool:
    return value == "" or NAME.fullmatch(value) is not None


class _Results(NamedTuple):
    """What was found out about a selector."""

    mistake: str | None
    selected: dict[frozenset[tuple[str, str]], bool]  # by the labels of an object


def _results(selector: LabelSelector) -> _Results:
    known: _Results | None = selector.__dict__.get("results")
    if known is None:
        known = selector.__dict__["results"] = _Results(_find_mistake(selector), {})
    return known


def mistake(selector: LabelSelector) -> str | None:
    """Why Kubernetes would reject this selector; None if it is valid."""
    return _results(selector).mistake


def _find_mistake(selector: LabelSelector) -> str | None:
    for key, value in selector.match_labels.items():
        if not is_label_key(key):
            return f'"{shortened(key)}" in matchLabels is not a label key'
        if not is_label_value(value):
            return f'"{shortened(value)}" in matchLabels is not a label value'
    for requirement in selector.match_expressions:
        if wrong := _mistake(requirement):
            return wrong
    return None


def _mistake(requirement: LabelSelectorRequirement) -> str | None:
    operator = requirement.operator
    if operator not in VALUED:
        near = nearest(operator, VALUED)
        hint = f" (did you mean {near}?)" if near else ""
        return f'"{shortened(operator)}" is not an operator: it must be In, NotIn, Exists or DoesNotExist{hint}'
    if not is_label_key(requirement.key):
        return f'"{shortened(requirement.key)}" in matchExpressions is not a label key'
    if VALUED[operator] and not requirement.values:
        return f"operator {operator} needs values"
    if not VALUED[operator] and requirement.values:
        return f"operator {operator} takes no values"
    for value in requirement.values:
        if not is_label_value(value):
            return f'"{shortened(value)}" in matchExpressions is not a label value'
    return None


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether a valid selector (one without `mistake`) matches an object with these labels."""
    selected = _results(selector).selected
    given = frozenset(labels.items())
    if given not in selected:
        if len(selected) >= MOST_REMEMBERED:
            selected.clear()
        selected[given] = _selects(selector, labels)
    return selected[given]


def _selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _satisfied(requirement, labels) for requirement in selector.match_expressions
    )


def _satisfied(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    present = requirement.key in labels
    match requirement.operator:
        case "In":
            return present and labels[requirement.key] in requirement.values
        case "NotIn":
            return not present or labels[requirement.key] not in requirement.values
        case "Exists":
            return present
        case _:
            return not present
