"""Suggestions for names with typing errors, and that hostile names cost nothing."""

import difflib
import random

import pytest
from graph.world import gateway, listener, make, route, world

from fastroute.graph.build import build_graph
from fastroute.graph.finding import find_problems
from fastroute.listed import listed, shortened
from fastroute.nearest import nearest
from fastroute.resources.gateway import GatewayClass
from fastroute.settings import GraphSettings


@pytest.mark.parametrize(
    ("value", "choices", "expected"),
    [
        ("http", ["HTTP", "HTTPS"], "HTTP"),
        ("Servce", ["Service", "Secret"], "Service"),
        ("Pod", ["Service"], None),
        ("web", [f"listener-{n}" for n in range(60)] + ["Web"], "Web"),
        ("listener-of-the-sohp", [*(f"port-{n}" for n in range(40)), "listener-of-the-shop"], "listener-of-the-shop"),
        ("listener-of-shop", [f"port-{n}" for n in range(40)] + ["listener-off-shop"], "listener-off-shop"),
        ("listener-of-a", ["listener-of-bcd"] * 2 + [f"port-{n}" for n in range(40)], None),
        ("ab", [f"x{n}" for n in range(40)], None),
        ("a" * 65, [*("a" * 64 + letter for letter in "bcdefghijklmnopqrst")], None),
        ("", [], None),
    ],
)
def test_what_was_probably_meant(value: str, choices: list[str], expected: str | None) -> None:
    assert nearest(value, choices) == expected


def alike(count: int, length: int) -> list[str]:
    """Names of the letters a and b, for which difflib takes the longest."""
    shuffled = random.Random(1)
    return ["".join(shuffled.sample("ab" * (length // 2), length)) for _ in range(count)]


def test_difflib_compares_only_a_few_short_names(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def get_close_matches(word: str, possibilities: list[str], n: int, cutoff: float) -> list[str]:
        compared.append(len(word) * sum(map(len, possibilities)))
        return []

    monkeypatch.setattr(difflib, "get_close_matches", get_close_matches)
    for count, length in ((64, 200), (64, 16), (16, 200), (16, 40), (16, 16), (5000, 8)):
        names = alike(count + 1, length)
        nearest(names[0], names[1:])
    assert compared == [16 * 16 * 16]


def test_a_message_about_many_listeners_is_short() -> None:
    """64 listeners with long names, and 32 parentRefs that name others."""
    names = alike(64, 200)
    others = alike(96, 200)[64:]
    parents = [{"name": "gw", "sectionName": other} for other in others]
    objects = (
        make(GatewayClass, "", "fastroute", {"controllerName": "fastroute.dev/gateway"}),
        gateway("gw", "infra", *(listener(name, hostname=f"h{n}.example.com") for n, name in enumerate(names))),
        route("r", "infra", parents=parents),
    )
    problems = find_problems(build_graph(world(*objects), GraphSettings()))
    messages = [problem.message for problem in problems if problem.reason == "NoMatchingParent"]
    assert len(messages) == 32
    assert all("and 60 more" in message and len(message) < 1500 for message in messages)


def test_listed_counts_what_it_leaves_out() -> None:
    assert listed(["a", "b", "c"], 2, "; ") == "a; b and 1 more"
    assert listed(range(20_000), write=lambda n: f"<{n}>").endswith("<15> and 19984 more")


@pytest.mark.parametrize(("length", "shown"), [(60, 16), (100, 10), (252, 3), (2000, 1)])
def test_listed_names_as_many_as_fit(length: int, shown: int) -> None:
    names = alike(20, length)
    assert listed(names) == f"{', '.join(names[:shown])} and {20 - shown} more"


def test_a_text_that_is_not_checked_is_shortened() -> None:
    assert shortened("x" * 256) == "x" * 256
    assert shortened("x" * 1_000_000) == "x" * 255 + "…"
