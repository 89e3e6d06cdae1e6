"""`python -m bench.expressions [--judging] [--seconds 60] [--seed 1] [EXPRESSION...]`: what expressions cost.

Random expressions that the graph accepts, or those given, are matched with the text that takes as many transitions of
their automaton as possible (tests/walks.py). Printed are those that cost most in proportion to their price
(fastroute/graph/price.py): the first use, when RE2 builds its automaton, and later uses, each with empty caches.

With `--judging`, printed are those that the graph takes longest to judge, whether it accepts them or not, and the time
per step (fastroute/graph/pattern.py).
"""

import argparse
import random
import sys
import time
from typing import NamedTuple

from fastroute.ext.routing.regex import VALUE_LIMIT, Regex
from fastroute.graph.price import expression_price
from fastroute.graph.regex import MOST_LENGTH, judge_pattern

sys.path.insert(0, "tests")

from walks import expensive_text

_CACHE = bytearray(40 << 20), bytearray(40 << 20)
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_CLASSES = (
    *(r"\w", r"\d", r"\S", "[[:alpha:]]", "é", "[é-ö]", "[^é]", "日", "(?i:k)", "(?i:é)", ".", "(?s:.)"),
    *(r"\b", r"\B", "^", "$", "(?m:^)", "(?m:$)", r"\A", r"\z"),
)
SHOWN = 10
TOGETHER = 20


class Cost(NamedTuple):
    """In nanoseconds."""

    first: int
    later: int
    price: int
    transitions: int  # that the text takes
    pattern: str

    @property
    def share(self) -> float:
        return self.first / self.price


def empty_caches() -> None:
    _CACHE[0][:] = _CACHE[1]


def cost(pattern: str, rounds: int, together: int = TOGETHER, *, cold: bool = True) -> Cost:
    """The mean of several copies that are matched one after the other, as one request matches several expressions."""
    text, transitions = expensive_text(pattern, VALUE_LIMIT)
    first, later = [], []
    for _ in range(rounds):
        copies = [Regex(pattern) for _ in range(together)]
        for times in (first, later):
            if cold:
                empty_caches()
            began = time.thread_time_ns()
            for regex in copies:
                regex.fullmatch(text)
            times.append((time.thread_time_ns() - began) // together)
    return Cost(min(first), min(later), expression_price(pattern, VALUE_LIMIT), transitions, pattern)


def invented(chance: random.Random) -> str:
    """An expression with all constructs that make automata large."""
    letters = _LETTERS[: chance.choice((2, 4, 8, 16, 36))]
    pattern = chance.choice(("", ".*", "(?i)", "(?i).*")) + _part(chance, letters, chance.randint(2, 4))
    return f"(?:{pattern})*" if chance.random() < 0.5 else pattern


def _part(chance: random.Random, letters: str, depth: int) -> str:
    kind = chance.random()
    if depth == 0 or kind < 0.3:
        some = "".join(chance.sample(letters, min(len(letters), chance.randint(1, 6))))
        return chance.choice((some[0], some[0], f"[{some}]", f"[^{some}]", chance.choice(_CLASSES)))
    if kind < 0.6:
        return "".join(_part(chance, letters, depth - 1) for _ in range(chance.randint(2, 6)))
    if kind < 0.75:
        return f"(?:{'|'.join(_part(chance, letters, depth - 1) for _ in range(chance.randint(2, 8)))})"
    part = f"(?:{_part(chance, letters, depth - 1)})"
    return part + (chance.choice("*+?") if kind < 0.85 else f"{{{chance.randint(0, 3)},{chance.randint(3, 12)}}}")


def hunt(seed: int, seconds: float) -> list[Cost]:
    chance = random.Random(seed)
    worst: list[Cost] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pattern = invented(chance)
        if judge_pattern(pattern).error is None:
            worst.append(cost(pattern, 3, 1, cold=False))
            worst = sorted(worst, key=lambda one: -one.share)[: 4 * SHOWN]
    return [cost(one.pattern, 10) for one in worst]


def judging(pattern: str) -> int:
    """The processor time in nanoseconds."""
    times = []
    for _ in range(3):
        judge_pattern.cache_clear()
        began = time.thread_time_ns()
        judge_pattern(pattern)
        times.append(time.thread_time_ns() - began)
    return min(times)


def hunt_judging(seed: int, seconds: float) -> list[tuple[int, str]]:
    """Invented expressions, often repeated up to the longest that is allowed."""
    chance = random.Random(seed)
    worst: list[tuple[int, str]] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pattern = invented(chance)
        pattern *= chance.choice((1, max(1, MOST_LENGTH // max(1, len(pattern)))))
        worst = sorted([*worst, (judging(pattern), pattern)], reverse=True)[:SHOWN]
    return worst


def print_judging(found: list[tuple[int, str]]) -> None:
    for nanoseconds, pattern in sorted(found, reverse=True):
        judgement = judge_pattern(pattern)
        spent = f"{nanoseconds / 1e3:6.0f} µs, {judgement.steps} steps, {nanoseconds / judgement.steps:.0f} ns each"
        print(f"{spent}; {judgement.error or 'accepted'}; {pattern}", flush=True)


def main() -> None:
    words = argparse.ArgumentParser(prog="python -m bench.expressions", description=__doc__)
    words.add_argument("--seconds", type=float, default=60.0)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--judging", action="store_true")
    words.add_argument("expressions", nargs="*")
    chosen = words.parse_args()
    if chosen.judging:
        given = [(judging(one), one) for one in chosen.expressions]
        print_judging(given or hunt_judging(chosen.seed, chosen.seconds))
        return
    found = [cost(one, 10) for one in chosen.expressions] or hunt(chosen.seed, chosen.seconds)
    for one in sorted(found, key=lambda one: -one.share)[:SHOWN]:
        times = (number / 1e3 for number in (one.first, one.later, one.price))
        print("first {:6.0f}, later {:5.0f}, price {:6.0f} µs".format(*times), f"({one.share:.2f})", end="; ")
        print(f"{one.transitions} transitions; {judge_pattern(one.pattern).size}; {one.pattern}", flush=True)


if __name__ == "__main__":
    main()
