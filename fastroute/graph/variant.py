"""Variants of backends: one for each client certificate that the Gateways of its routes show to it.

A worker has the endpoints of a backend once for each variant. A Service and its endpoints belong to one namespace, but
routes of other namespaces bring further certificates. So the namespace of the Service pays for one variant, as if there
were no certificates, and the namespaces whose routes need a further variant pay for it: none of them can take endpoints
from another one. If several of them need the same variant, each of them pays, and it is as large as one of them can
afford.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple


class Need(NamedTuple):
    certificate: str  # id; "": none is shown
    namespace: str  # of the route


# By backend: how many routes with a reference that resolves to it have each need.
Users = Mapping[str, Mapping[Need, int]]


class Claim(NamedTuple):
    """What a namespace pays for."""

    backend: str
    certificate: str


class Variant(NamedTuple):
    certificate: str
    namespaces: tuple[str, ...]  # of the routes that need it
    payers: tuple[str, ...]  # the namespaces that pay for it
    further: bool  # not the one for which the namespace of the Service pays


def variants_of(id_: str, needs: Iterable[Need]) -> tuple[Variant, ...]:
    """Sorted by certificate. The namespace of the Service pays for the first one that its own routes need.

    >>> needs = [Need("infra/x", "b"), Need("infra/y", "a"), Need("infra/y", "b")]
    >>> [(one.certificate, one.payers, one.further) for one in variants_of("a/s:80", needs)]
    [('infra/x', ('b',), True), ('infra/y', ('a',), False)]
    """
    owner = id_.partition("/")[0]
    spaces: dict[str, list[str]] = {}
    for need in sorted(needs):
        spaces.setdefault(need.certificate, []).append(need.namespace)
    return tuple(_variants(owner, {certificate: tuple(some) for certificate, some in spaces.items()}))


def _variants(owner: str, spaces: Mapping[str, tuple[str, ...]]) -> Iterator[Variant]:
    paid = min(spaces, key=lambda one: (owner not in spaces[one], one), default="")
    for certificate, some in spaces.items():
        further = certificate != paid
        yield Variant(certificate, some, some if further else (owner,), further)
