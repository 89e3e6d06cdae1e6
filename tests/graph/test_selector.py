"""Label selectors as Kubernetes evaluates them."""

from typing import Any

import msgspec
import pytest

from fastroute.graph.selector import mistake, selects
from fastroute.resources.gateway import LabelSelector

LABELS = {"team": "red", "stage": "live", "example.com/open": ""}


def selector(labels: dict[str, str] | None = None, *expressions: tuple[Any, ...]) -> LabelSelector:
    parts = [dict(zip(("key", "operator", "values"), expression, strict=False)) for expression in expressions]
    return msgspec.convert({"matchLabels": labels or {}, "matchExpressions": parts}, LabelSelector)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (selector(), True),
        (selector({"team": "red"}), True),
        (selector({"team": "blue"}), False),
        (selector({"team": "red", "floor": "1"}), False),
        (selector(None, ("team", "In", ["blue", "red"])), True),
        (selector(None, ("floor", "In", ["1"])), False),
        (selector(None, ("team", "NotIn", ["red"])), False),
        (selector(None, ("floor", "NotIn", ["1"])), True),
        (selector(None, ("example.com/open", "Exists")), True),
        (selector(None, ("floor", "Exists")), False),
        (selector(None, ("floor", "DoesNotExist")), True),
        (selector(None, ("team", "DoesNotExist")), False),
        (selector({"team": "red"}, ("stage", "In", ["live"]), ("floor", "DoesNotExist")), True),
        (selector({"team": "red"}, ("stage", "In", ["test"])), False),
    ],
)
def test_selects(given: LabelSelector, expected: bool) -> None:
    assert mistake(given) is None
    assert selects(given, LABELS) is expected


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (selector(None, ("team", "Matches", ["a"])), '"Matches" is not an operator'),
        (selector(None, ("team", "In")), "operator In needs values"),
        (selector(None, ("team", "NotIn", [])), "operator NotIn needs values"),
        (selector(None, ("team", "Exists", ["a"])), "operator Exists takes no values"),
        (selector(None, ("-team", "Exists")), '"-team" in matchExpressions is not a label key'),
        (selector(None, ("team", "In", ["a b"])), '"a b" in matchExpressions is not a label value'),
        (selector({"UPPER.com/x": "a"}), '"UPPER.com/x" in matchLabels is not a label key'),
        (selector({"x" * 64: "a"}), "is not a label key"),
        (selector({"team": "a" * 64}), "is not a label value"),
    ],
)
def test_mistake(given: LabelSelector, why: str) -> None:
    assert why in (mistake(given) or "")
