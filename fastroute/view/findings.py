"""Problems that conditions say, and warnings: what the Graph alone says."""

from typing import NamedTuple

from fastroute.graph.finding import Finding, find_problems
from fastroute.lint import lint
from fastroute.view.answers import RefusedReference
from fastroute.view.once import Served, once
from fastroute.view.referring import MOST_REFUSED, REFUSED, refused_reference


class _Said(NamedTuple):
    problems: tuple[Finding, ...]
    refused: int  # references
    first_refused: tuple[RefusedReference, ...]  # at most MOST_REFUSED


@once
def said(served: Served) -> _Said:
    problems = find_problems(served.graph)
    refused = [one for one in problems if one.reason == REFUSED]
    first = tuple(refused_reference(one.kind, one.key, one) for one in refused[:MOST_REFUSED])
    return _Said(problems, len(refused), first)


@once
def warnings(served: Served) -> tuple[Finding, ...]:
    """They take longer to find than all else, so the status has none."""
    return tuple(lint(served.graph.resources, served.graph)) if served.graph.resources else ()
