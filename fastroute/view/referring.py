"""Refused references: those that no ReferenceGrant allows, with the grant that is missing."""

from collections.abc import Iterable

from fastroute.graph.node import Problem
from fastroute.resources.meta import Key
from fastroute.view.answers import RefusedReference

REFUSED = "RefNotPermitted"


def refused_references(kind: str, key: Key, problems: Iterable[Problem]) -> tuple[RefusedReference, ...]:
    return tuple(
        RefusedReference(kind=kind, object=str(key), field=problem.field, message=problem.message, fix=problem.fix)
        for problem in problems
        if problem.reason == REFUSED
    )
