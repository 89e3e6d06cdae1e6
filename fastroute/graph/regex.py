"""Whether a route may use a regular expression: RE2 must accept it, and matching must be cheap for every text."""

from functools import lru_cache
from typing import NamedTuple

from fastroute.ext.regex import Regex
from fastroute.graph.automaton import MOST_STATES, automaton_size


class Judgement(NamedTuple):
    error: str | None  # why it is refused, as text that follows the pattern; None: it is served
    states: int  # of its automaton that were built to find out


@lru_cache(maxsize=16_384)
def judge_pattern(pattern: str) -> Judgement:
    try:
        Regex(pattern)
    except ValueError as error:
        return Judgement(f"is refused by RE2: {error}", 0)
    size = automaton_size(pattern)
    if isinstance(size, str):
        return Judgement(f"could make matching slow: {size}", MOST_STATES)
    return Judgement(None, size.states)
