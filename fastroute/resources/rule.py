"""Rule: a requirement on several fields of an object together; Branch: the tree that checks an object by many rules.

A table of RuledFields says which rules apply to which field. `trees` turns it into one tree of fields per kind, so that
an object is walked once, however many rules there are.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from fastroute.resources.document import Pause, no_pause
from fastroute.resources.problem import Fault, Path

Offenders = Iterable[Path]  # paths, relative to the checked value, at which a rule is broken


class Rule(NamedTuple):
    """`judge` returns the paths at which the rule is broken: none if it holds."""

    message: str
    judge: Callable[[Any], Offenders]


class RuledField(NamedTuple):
    """The rules for every value at `where` in objects of `kinds`; `[]` means each item of a list."""

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
    """A rule about a value as a whole."""
    return Rule(message, lambda value: () if holds(value) else ((),))


def unique(message: str, identity: Callable[[Any], Any]) -> Rule:
    """A rule about a list: no two items have the same identity. Items whose identity is None are not compared."""

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
    """The attribute name of an API field: backend_refs for backendRefs, from_ for from."""
    return "from_" if name == "from" else re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), name)


class Branch:
    """A field, its rules, and the fields below it that have rules. The step `None` means each item of a list."""

    def __init__(self) -> None:
        self.rules: tuple[Rule, ...] = ()
        self.below: dict[str | None, Branch] = {}

    def grow(self, steps: Sequence[str | None]) -> "Branch":
        return self.below.setdefault(steps[0], Branch()).grow(steps[1:]) if steps else self

    def faults(self, value: Any, path: Path = (), pause: Pause = no_pause) -> Iterator[Fault]:
        for rule in self.rules:
            for offender in rule.judge(value):
                yield Fault((*path, *offender), rule.message)
        for step, branch in self.below.items():
            if step is None:
                for index, item in enumerate(value):
                    pause()
                    yield from branch.faults(item, (*path, index), pause)
                continue
            inner = value.get(step) if isinstance(value, dict) else getattr(value, attribute(step))
            if inner is not None and inner != ():
                yield from branch.faults(inner, (*path, step), pause)


def trees(fields: Iterable[RuledField]) -> dict[str, Branch]:
    """One tree for each kind that has rules."""
    found: dict[str, Branch] = {}
    for field in fields:
        for kind in field.kinds:
            branch = found.setdefault(kind, Branch()).grow(field.steps)
            branch.rules += field.rules
    return found
