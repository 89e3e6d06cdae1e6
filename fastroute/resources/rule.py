"""Rule: something that several fields of an object must fulfil together; and the tree that judges by many rules.

A table says at which Place which rules hold. `trees` makes of it a tree of fields for each kind, so that an object is
walked once however many rules there are.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from fastroute.resources.problem import Fault, Path

Offenders = Iterable[Path]  # the places, below the judged value, that break a rule


class Rule(NamedTuple):
    """`judge` returns where the rule is broken; nothing when it holds."""

    message: str
    judge: Callable[[Any], Offenders]


class Place(NamedTuple):
    """Rules for every value at `where` in objects of `kinds`; `[]` stands for each item of a list."""

    kinds: tuple[str, ...]
    where: str
    rules: tuple[Rule, ...]

    @property
    def steps(self) -> list[str | None]:
        """`spec.rules[].name` as ["spec", "rules", None, "name"]."""
        steps: list[str | None] = []
        for name in filter(None, self.where.split(".")):
            steps += [name.removesuffix("[]"), *([None] if name.endswith("[]") else [])]
        return steps


def must(message: str, holds: Callable[[Any], bool]) -> Rule:
    """A rule about the value as a whole."""
    return Rule(message, lambda value: () if holds(value) else ((),))


def unique(message: str, identity: Callable[[Any], Any]) -> Rule:
    """A rule about a list: no two items have one identity (None: not compared)."""

    def judge(items: Sequence[Any]) -> Offenders:
        seen = set()
        for index, item in enumerate(items):
            name = identity(item)
            if name in seen:
                yield (index,)
            elif name is not None:
                seen.add(name)

    return Rule(message, judge)


def identity(*fields: str) -> Callable[[Any], Any]:
    return lambda item: tuple(getattr(item, field) for field in fields)


@functools.cache
def attribute(name: str) -> str:
    """The attribute of an API field: backendRefs is backend_refs, from is from_."""
    return "from_" if name == "from" else re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), name)


class Branch:
    """A field, its rules, and the fields below it that have rules. `None` as a step is each item of a list."""

    def __init__(self) -> None:
        self.rules: tuple[Rule, ...] = ()
        self.below: dict[str | None, Branch] = {}

    def grow(self, steps: Sequence[str | None]) -> "Branch":
        return self.below.setdefault(steps[0], Branch()).grow(steps[1:]) if steps else self

    def faults(self, value: Any, path: Path = ()) -> Iterator[Fault]:
        for rule in self.rules:
            for offender in rule.judge(value):
                yield Fault((*path, *offender), rule.message)
        for step, branch in self.below.items():
            if step is None:
                for index, item in enumerate(value):
                    yield from branch.faults(item, (*path, index))
                continue
            inner = value.get(step) if isinstance(value, dict) else getattr(value, attribute(step))
            if inner is not None and inner != ():
                yield from branch.faults(inner, (*path, step))


def trees(places: Iterable[Place]) -> dict[str, Branch]:
    """The tree of each kind that has rules."""
    found: dict[str, Branch] = {}
    for place in places:
        for kind in place.kinds:
            branch = found.setdefault(kind, Branch()).grow(place.steps)
            branch.rules += place.rules
    return found
