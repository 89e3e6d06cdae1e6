"""References of filters to backends, checked like those of backendRefs, with the same grants.

A mirror whose reference is refused or does not resolve is ignored, and the route's ResolvedRefs condition reports it;
the request is served as if the filter did not exist.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import msgspec

from fastroute.graph.backend_ref import Referrer, Verdict, judge
from fastroute.graph.dependency import Reader
from fastroute.graph.node import MirrorNode, Problem
from fastroute.resources.gateway import BackendObjectReference
from fastroute.resources.http_rule import HTTPBackendRef, HTTPFilter

MIRROR = "requestMirror"
EXTERNAL_AUTH = "externalAuth"


class FilterReference(NamedTuple):
    """One filter's reference to a backend."""

    backend_ref: int | None  # index of the backendRef with the filter; None: a filter of the rule
    filter: int  # index in that list of filters
    part: str  # field of the filter: MIRROR or EXTERNAL_AUTH
    ref: BackendObjectReference

    def field_in(self, rule: str) -> str:
        """The path of the reference; `rule`: path of the rule."""
        holder = rule if self.backend_ref is None else f"{rule}.backendRefs[{self.backend_ref}]"
        return f"{holder}.filters[{self.filter}].{self.part}.backendRef"


Judged = tuple[FilterReference, Verdict]


class RuleWithFilters(Protocol):
    """A rule of any kind of route whose rules and backendRefs may have filters."""

    @property
    def filters(self) -> tuple[HTTPFilter, ...]: ...

    @property
    def backend_refs(self) -> tuple[HTTPBackendRef, ...]: ...


def references_of(rules: Iterable[RuleWithFilters]) -> Iterator[HTTPBackendRef | BackendObjectReference]:
    """All references of the rules to backends."""
    for rule in rules:
        yield from rule.backend_refs
        yield from (reference.ref for reference in filter_references(rule))


def filter_references(rule: RuleWithFilters) -> Iterator[FilterReference]:
    """References of the rule's own filters, then those of the filters of its backendRefs."""
    lists = [(None, rule.filters), *((index, ref.filters) for index, ref in enumerate(rule.backend_refs))]
    for backend_ref, filters in lists:
        for index, filter_ in enumerate(filters):
            if filter_.request_mirror is not None:
                yield FilterReference(backend_ref, index, MIRROR, filter_.request_mirror.backend_ref)
            if filter_.external_auth is not None:
                ref = msgspec.convert(filter_.external_auth["backendRef"], BackendObjectReference)
                yield FilterReference(backend_ref, index, EXTERNAL_AUTH, ref)


def judge_filters(referrer: Referrer, rule: RuleWithFilters, field: str, reader: Reader) -> tuple[Judged, ...]:
    """`field`: path of the rule in the route. Unsupported filters are checked, too."""
    return tuple(
        (reference, judge(referrer, reference.ref, reference.field_in(field), reader))
        for reference in filter_references(rule)
    )


def problems_of(judged: Iterable[Judged]) -> list[Problem]:
    return [problem for _, found in judged for problem in found.problems]


def mirrors_of(referrer: Referrer, judged: Iterable[Judged]) -> tuple[MirrorNode, ...]:
    return tuple(
        MirrorNode(
            backend_ref=reference.backend_ref,
            filter=reference.filter,
            id=referrer.id_of(reference.ref),
            **found._asdict(),
        )
        for reference, found in judged
        if reference.part == MIRROR
    )
