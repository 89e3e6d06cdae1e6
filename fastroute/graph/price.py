"""What the matches of a route cost one request that must try them: estimates in nanoseconds, never too low.

A request tries the matches of its hostnames and paths one after another until one accepts it (router, group and node in
ext/routing). A match without conditions costs nothing here, because it accepts every request that reaches it. Others
cost a look-up for each distinct set of names, and the time of their regular expressions. books.py adds these prices up.
"""

from collections.abc import Iterable
from typing import NamedTuple

from fastroute.ext.routing.regex import PATH_LIMIT, VALUE_LIMIT
from fastroute.graph.path import matched_path
from fastroute.graph.regex import judge_pattern
from fastroute.resources.http_rule import HeaderMatch, HTTPMatch, HTTPRule

# Measured (bench/worst.py): a visit to a signature (ext/routing/node), each of its names.
_SIGNATURE, _NAME, _BYTES_OF_VALUES = 50, 20, 16
# Measured (bench/expressions.py): a byte that an expression reads; the first use of an expression, when RE2 builds its
# automaton, and each state, transition and instruction of a transition.
_BYTE, _FIRST_USE, _STATE, _TRANSITION, _INSTRUCTION = 2, 10_000, 310, 38, 11
_WIDE = 6  # instructions for the bytes of a character outside of ASCII

# Deeper paths and longer prefixes of expressions are counted as if they were this deep.
_MOST_ELEMENTS = 16
_MOST_BEGINNING = 32


class Point(NamedTuple):
    """Where a request meets a match (books.py): a path, or what the paths that an expression matches begin with."""

    tree: str  # "path" or "expression"
    key: str  # "/a/b", "=/a/b" for an exact path


class Item(NamedTuple):
    """One match with conditions."""

    point: Point
    # Type and value of the path: matches with the same one are tried together. A call of gRPC meets those of rules for
    # calls, and then the others.
    node: tuple[str, str]
    signature: tuple[bool, tuple[str, ...], tuple[str, ...]]  # a method? names of exact headers, of exact parameters
    bucket: tuple[str, ...]  # the method and the values: a request meets one bucket of a signature
    look_up: int  # paid once per node and signature
    values: int  # paid once per bucket: to compare its values
    expressions: int  # paid for every match of the bucket


def price_list(rules: Iterable[HTTPRule]) -> tuple[Item, ...]:
    """All matches of the rules of a valid route that cost something."""
    matches = ((match, rule.calls) for rule in rules for match in rule.matches)
    return tuple(_item(match, calls) for match, calls in matches if _has_conditions(match))


def _has_conditions(match: HTTPMatch) -> bool:
    return bool(match.method or match.headers or match.query_params or match.path.type == "RegularExpression")


def _item(match: HTTPMatch, calls: bool) -> Item:
    headers = _exact((header.name.lower(), header) for header in match.headers)
    parameters = _exact((parameter.name, parameter) for parameter in match.query_params)
    values = tuple(tests[name] for tests in (headers, parameters) for name in sorted(tests))
    expressions = [
        expression_price(test.value, VALUE_LIMIT)
        for test in (*match.headers, *match.query_params)
        if test.type == "RegularExpression"
    ]
    if match.path.type == "RegularExpression":
        expressions.append(expression_price(match.path.value, PATH_LIMIT))
    return Item(
        point=_point(match),
        node=(f"{match.path.type} of calls" if calls else match.path.type, _node(match)),
        signature=(match.method is not None, tuple(sorted(headers)), tuple(sorted(parameters))),
        bucket=(match.method or "", *values),
        look_up=_SIGNATURE + _NAME * len(values),
        values=sum(map(len, values)) // _BYTES_OF_VALUES,
        expressions=sum(expressions),
    )


def _exact(tests: Iterable[tuple[str, HeaderMatch]]) -> dict[str, str]:
    """Values by name; of several tests with the same name the first counts."""
    first: dict[str, HeaderMatch] = {}
    for name, test in tests:
        first.setdefault(name, test)
    return {name: test.value for name, test in first.items() if test.type == "Exact"}


def expression_price(pattern: str, most: int) -> int:
    """For texts of at most that many bytes. The pattern must not be refused."""
    judgement = judge_pattern(pattern)
    size = judgement.size
    assert size is not None, f"the graph refuses {pattern!r}: {judgement.error}"
    transitions, instructions = size.built_by(most)
    program = judgement.instructions - _WIDE * size.wide_nodes  # including its alternatives
    instructions = instructions * max(program, size.nodes) // size.nodes
    building = _STATE * size.states + _TRANSITION * transitions + _INSTRUCTION * instructions
    return _FIRST_USE + building + _BYTE * most


def _node(match: HTTPMatch) -> str:
    is_expression = match.path.type == "RegularExpression"
    return judge_pattern(match.path.value).beginning if is_expression else matched_path(match.path)


def _point(match: HTTPMatch) -> Point:
    path = match.path
    if path.type == "RegularExpression":
        return Point("expression", judge_pattern(path.value).beginning[:_MOST_BEGINNING])
    elements = matched_path(path).split("/")[1:]
    key = "".join(f"/{element}" for element in elements[:_MOST_ELEMENTS])
    exact = path.type == "Exact" and len(elements) <= _MOST_ELEMENTS
    return Point("path", f"={key}" if exact else key)
