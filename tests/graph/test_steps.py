"""How much work it takes to judge regular expressions, counted in steps."""

import pytest
from graph.world import gateway, route, world
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.graph import httproute
from fastroute.graph.automaton import _Exploration
from fastroute.graph.build import build_graph
from fastroute.graph.httproute import MOST_STEPS_OF_A_ROUTE
from fastroute.graph.pattern import MOST_STEPS, Steps, UnclearError, read_pattern
from fastroute.graph.regex import Judgement, judge_pattern
from fastroute.resources.meta import Key
from fastroute.settings import GraphSettings


class Counted(list[int]):
    """The nodes after each node; counts how often they are read."""

    read = 0

    def __getitem__(self, index: int) -> int:  # type: ignore[override]
        self.read += 1
        return super().__getitem__(index)


@pytest.mark.parametrize(
    ("pattern", "nodes", "read"),
    [
        ("^" * 900 + "a", 3, 4),
        ("(^)" * 300 + "a", 3, 4),
        ("(?:^){300}a", 3, 4),
        ("^$" * 400 + "a", 802, 2404),  # $ is followed by no character
        (r"\b\B" * 200 + "a", 402, 1204),
    ],
)
def test_each_node_behind_an_assertion_is_followed_once(pattern: str, nodes: int, read: int) -> None:
    """A chain of 900 assertions took 1.2 s: its nodes were followed again for each one that was reached."""
    steps = Steps()
    nfa = read_pattern(pattern, steps)
    assert nfa is not None
    exploration = _Exploration(nfa, steps)
    counted = exploration._follow = Counted(exploration._follow)
    exploration.size()
    assert len(nfa.nodes) == nodes
    assert counted.read <= read


EXPENSIVE = (
    r"(?:\b|a)" * 90,  # 90 states of up to 180 nodes, each with many assertions
    ".*" + r"(?:\b|b)" * 78,
    ".*" + "a" * 160,
    "(?:a" + "|" * 900 + "){900}",  # nodes are few, but the branches are built 900 times
    "(?:|){0,1000}" * 70,  # RE2 writes the repetitions out
    "(?i)" + "(?:(?:é){0,1000}){0}" * 40,  # also those that it drops
    ("(?:" * 48 + "a{0}" + ")" * 48 + "{1000}") * 4,
    "(?i)(?:" + "(?:[^dщöcx]){10,}" * 55 + ")",  # RE2 needs 200 instructions for each
    "(?:a{0}){1000}" * 70,
    "(?i)" + "|".join(["[à-ö]*"] * 140),
)


@pytest.mark.parametrize("pattern", EXPENSIVE)
def test_judging_ends_after_a_number_of_steps(pattern: str) -> None:
    judgement = judge_pattern(pattern)
    assert judgement.error == f"could make matching slow: its cost is not known after {MOST_STEPS:,} steps"
    assert judgement.steps == MOST_STEPS


def test_a_large_class_is_refused_while_it_is_read() -> None:
    """Otherwise its set of characters is copied for each range: 60 ms."""
    steps = Steps()
    ranges = "".join(f"{chr(first)}-{chr(first + 60)}" for first in range(0x100, 0x5000, 61))[:1_000]
    with pytest.raises(UnclearError, match="large class"):
        read_pattern(f"[{ranges}]", steps)
    assert steps.taken < 100


@pytest.mark.parametrize(
    "beginning",
    [
        r"(?:\b|a)" * 40,
        "(?:a{0})*?" * 80,
        "(?:" + "|".join(["android"] * 120) + ")",
        "(?:" + "|" * 900 + ")",
    ],
)
def test_the_expressions_of_a_route_take_a_limited_number_of_steps(
    beginning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    def judged(pattern: str) -> Judgement:
        taken.append(judge_pattern(pattern).steps)
        return judge_pattern(pattern)

    monkeypatch.setattr(httproute, "judge_pattern", judged)
    values = [f"{beginning}/{number}" for number in range(128)]
    matches = [{"path": {"type": "RegularExpression", "value": value}} for value in values]
    one = route("r", "infra", rules=[{"matches": matches[:64]}, {"matches": matches[64:]}])
    graph = build_graph(world(gateway(), one), GraphSettings())
    assert sum(taken) <= MOST_STEPS_OF_A_ROUTE + MOST_STEPS
    [problem] = graph.routes["HTTPRoute", Key("infra", "r")].problems
    assert (problem.condition, problem.reason, problem.field) == ("Accepted", "UnsupportedValue", "spec.rules")
    assert "calculating the cost of its expressions takes more than 300,000 steps in all" in problem.message


@settings(max_examples=300, deadline=None)
@given(st.text("ab()[]{}|\\^$*+?-:,09QExPié", max_size=30))
def test_any_text_can_be_judged(pattern: str) -> None:
    """It is read before RE2 refuses what is invalid."""
    judgement = judge_pattern(pattern)
    assert 0 < judgement.steps <= MOST_STEPS
    if read_pattern_or_none(pattern) is None:
        assert judgement.error is not None


def read_pattern_or_none(pattern: str) -> object:
    try:
        return read_pattern(pattern, Steps())
    except UnclearError:
        return None
