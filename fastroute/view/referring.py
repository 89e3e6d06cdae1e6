"""Refused references: those that no ReferenceGrant allows, with the grant that is missing."""

from collections.abc import Iterable
from typing import Protocol

from fastroute.graph.node import Problem
from fastroute.resources.meta import Key
from fastroute.view.answers import RefusedReference

REFUSED = "RefNotPermitted"
MOST_REFUSED = 100  # of the status, and of a Gateway


class Reported(Protocol):
    """A Problem, or a finding with one."""

    @property
    def field(self) -> str | None: ...

    @property
    def message(self) -> str: ...

    @property
    def fix(self) -> str | None: ...


def refused_reference(kind: str, key: Key, found: Reported) -> RefusedReference:
    return RefusedReference(kind=kind, object=str(key), field=found.field, message=found.message, fix=found.fix)


def refused_references(kind: str, key: Key, problems: Iterable[Problem]) -> tuple[RefusedReference, ...]:
    return tuple(refused_reference(kind, key, problem) for problem in problems if problem.reason == REFUSED)
