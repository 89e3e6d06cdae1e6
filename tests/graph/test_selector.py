"""Label selectors as Kubernetes evaluates them."""

from typing import Any

import msgspec
import pytest

from fastroute.graph import selector as module
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


def test_the_values_of_a_selector_are_examined_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many listeners have it, and however many routes ask them."""
    judged: list[str] = []
    evaluated: list[Any] = []
    valid, evaluate = module.is_label_value, module._selects
    monkeypatch.setattr(module, "is_label_value", lambda value: judged.append(value) or valid(value))
    monkeypatch.setattr(module, "_selects", lambda *given: evaluated.append(given) or evaluate(*given))
    many = selector(None, ("team", "In", [f"t{number}" for number in range(3000)]))
    for _ in range(100):
        assert mistake(many) is None
        assert not selects(many, LABELS)
        assert selects(many, {"team": "t9"})
    assert (len(judged), len(evaluated)) == (3000, 2)
    assert many == selector(None, ("team", "In", [f"t{number}" for number in range(3000)]))


def test_a_selector_remembers_a_limited_number_of_results() -> None:
    one = selector({"team": "t9"})
    assert sum(selects(one, {"team": f"t{number}"}) for number in range(10 * module.MOST_REMEMBERED)) == 1
    assert len(module._results(one).selected) <= module.MOST_REMEMBERED


@pytest.mark.parametrize(
    "wrong",
    [
        selector({"a": "!" * 100_000}),
        selector({"!" * 100_000: "a"}),
        selector(None, ("a", "In", ["!" * 100_000])),
        selector(None, ("!" * 100_000, "Exists")),
        selector(None, ("a", "!" * 100_000)),
    ],
)
def test_a_mistake_is_described_in_few_words(wrong: LabelSelector) -> None:
    assert len(mistake(wrong) or "") in range(1, 400)
