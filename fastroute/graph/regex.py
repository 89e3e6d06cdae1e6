"""Whether a route may use a regular expression: RE2 must accept it, and matching must be cheap for every text.

Judging an expression takes about 0.3 ms, up to 15 ms for the most expensive ones. So everything that the graph needs to
know is found out once, and kept for the expressions that were used last.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from fastroute.ext.regex import Regex
from fastroute.graph.automaton import MOST_STATES, Size, automaton_size

MOST_LENGTH = 1_024  # characters; those of a path, by the CRD
KEPT = 16_384  # judgements, about 20 MB with the longest expressions

_ESCAPE = re.compile(r"\\(?:Q.*?(?:\\E|$)|(.))", re.DOTALL)


class Judgement(NamedTuple):
    error: str | None  # why it is refused, as text that follows the pattern; None: it is served
    states: int  # of its automaton that were built to find out
    size: Size | None = None  # None: it is refused
    instructions: int = 0  # of the program
    beginning: str = ""  # what all matching texts begin with, as ext/expressions finds it


@lru_cache(maxsize=KEPT)
def judge_pattern(pattern: str) -> Judgement:
    if len(pattern) > MOST_LENGTH:
        return _refused(f"has {len(pattern)} characters, and {MOST_LENGTH:,} are allowed")
    if class_ := _unicode_class(pattern):  # RE2 needs 70 µs to read one, and a pattern may have hundreds
        return _refused(f"could make matching slow: the cost of {class_} is not known")
    try:
        compiled = Regex(pattern)
    except ValueError as error:
        return _refused(f"is refused by RE2: {error}")
    size = automaton_size(pattern)
    if isinstance(size, str):
        return _refused(f"could make matching slow: {size}")
    return Judgement(None, size.states, size, compiled.instructions, compiled.beginning.decode("latin-1"))


def _refused(why: str) -> Judgement:
    """Counts as the largest automaton: a route with many refused expressions is not judged to its end."""
    return Judgement(why, MOST_STATES)


def _unicode_class(pattern: str) -> str | None:
    r"""
    >>> _unicode_class(r"a\pL"), _unicode_class(r"a\\pL"), _unicode_class(r"\Q\pL\E")
    ('\\p', None, None)
    """
    letters = (found[1] for found in _ESCAPE.finditer(pattern))
    return next((f"\\{letter}" for letter in letters if letter in ("p", "P")), None)
