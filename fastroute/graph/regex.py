"""Whether a route may use a regular expression: RE2 must accept it, and matching must be cheap for every text.

Judging an expression takes about 0.2 ms, and up to 3 ms for the most expensive ones. So everything that the graph needs
to know about it is computed once and cached for the most recently used expressions.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from fastroute.ext.routing.regex import Regex
from fastroute.graph.automaton import MOST_STATES, Size, automaton_size
from fastroute.graph.pattern import MOST_STEPS, Steps, UnclearError, read_pattern
from fastroute.secrecy import HIDDEN, is_credential

MOST_LENGTH = 1_024  # characters; those of a path, by the CRD
_COMPILE, _INSTRUCTION = 500, 4  # steps of RE2 for each pattern, and for each instruction of its program
KEPT = 16_384  # judgements, about 20 MB with the longest expressions

_ESCAPE = re.compile(r"\\(?:Q.*?(?:\\E|$)|(.))", re.DOTALL)


class Judgement(NamedTuple):
    error: str | None  # why it is refused, as text that follows the pattern; None: it is served
    states: int  # of its automaton that were built to find out
    steps: int  # that it took (pattern.py)
    size: Size | None = None  # None: it is refused
    instructions: int = 0  # of the program
    beginning: str = ""  # what all matching texts begin with, as ext/routing/expressions finds it


@lru_cache(maxsize=KEPT)
def judge_pattern(pattern: str) -> Judgement:
    if len(pattern) > MOST_LENGTH:
        return _refused(f"has {len(pattern):,} characters, and {MOST_LENGTH:,} are allowed")
    if class_ := _unicode_class(pattern):  # RE2 needs 70 µs to read one, and a pattern may have hundreds
        return _refused(f"could make matching slow: the cost of {class_} is not known")
    steps = Steps()
    try:
        nfa = read_pattern(pattern, steps)
        compiled = Regex(pattern)
        steps.take(_COMPILE + _INSTRUCTION * compiled.instructions)
        size = automaton_size(nfa, steps) if nfa else None
    except UnclearError as error:
        return _refused(f"could make matching slow: {error}")
    except ValueError as error:
        return _refused(f"is refused by RE2: {error}")
    if size is None:
        return _refused("could make matching slow: its cost is not known")
    beginning = compiled.beginning.decode("latin-1")
    return Judgement(None, size.states, steps.taken, size, compiled.instructions, beginning)


def refusal_text(pattern: str, error: str, name: str = "") -> str:
    """`name`: of the header field or query parameter. If it suggests a credential, the pattern is not shown, nor is the
    detail of `error`, which may be a part of it.

    >>> refusal_text("a(", "is refused by RE2: missing )"), refusal_text("a(", "is refused by RE2: missing )", "token")
    ('pattern a( is refused by RE2: missing ).', 'pattern *** is refused by RE2.')
    """
    if is_credential(name):
        pattern, error = HIDDEN, error.partition(":")[0]
    return f"pattern {pattern} {error}."


def _refused(why: str) -> Judgement:
    """Counts as much as the most expensive expression, so that the judgement of a route with many refused expressions
    ends early."""
    return Judgement(why, MOST_STATES, MOST_STEPS)


def _unicode_class(pattern: str) -> str | None:
    r"""
    >>> _unicode_class(r"a\pL"), _unicode_class(r"a\\pL"), _unicode_class(r"\Q\pL\E")
    ('\\p', None, None)
    """
    letters = (found[1] for found in _ESCAPE.finditer(pattern))
    return next((f"\\{letter}" for letter in letters if letter in ("p", "P")), None)
