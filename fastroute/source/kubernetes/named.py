"""Named: the Secrets to watch by name: a certificateRef names them and the watch by type does not include them.

A Secret of another type than kubernetes.io/tls may contain a certificate as well, and a missing Secret may be created
with any type. Each of these watches needs a connection and a thread, so at most MOST of them run, in order of names. A
Secret beyond them is treated as missing, and a problem reports it. References that no ReferenceGrant permits come last,
so that nobody can use up the watches by naming other namespaces' Secrets. They are watched if there is room, so that a
Secret is already known when a grant permits it. No problem is reported for them: it would reveal whether such a Secret
exists.
"""

from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

from fastroute.graph.grant import Reference, index_grants, permitted
from fastroute.graph.listenerset import parent_of
from fastroute.resources.gateway import Listener
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources

MOST = 64  # watches by name


class Names(NamedTuple):
    """The Secrets that certificateRefs name."""

    permitted: frozenset[Key]
    refused: frozenset[Key]  # not permitted by any reference


def named_secrets(resources: Resources, controller_name: str) -> Names:
    """The Secrets named by listeners of our Gateways, and of ListenerSets attached to these."""
    references = list(_references(resources, controller_name))
    spaces = {reference.to_namespace for reference in references if reference.namespace != reference.to_namespace}
    relevant = {key: grant for key, grant in resources.reference_grants.items() if key.namespace in spaces}
    grants = index_grants(relevant)
    named: dict[bool, set[Key]] = {True: set(), False: set()}
    for reference in references:
        named[permitted(reference, grants)].add(Key(reference.to_namespace, reference.to_name))
    return Names(frozenset(named[True]), frozenset(named[False] - named[True]))


def to_follow(names: Names, known: Container[Key]) -> tuple[list[Key], list[Key]]:
    """The Secrets to watch by name, and those beyond the limit. `known`: what the watch by type includes."""
    wanted = sorted(name for name in names.permitted if name not in known)
    spare = sorted(name for name in names.refused if name not in known)
    return [*wanted, *spare][:MOST], wanted[MOST:]


def _references(resources: Resources, controller_name: str) -> Iterator[Reference]:
    ours = {key.name for key, item in resources.gateway_classes.items() if item.spec.controller_name == controller_name}
    gateways = {key: item for key, item in resources.gateways.items() if item.spec.gateway_class_name in ours}
    for key, gateway in gateways.items():
        yield from _of("Gateway", key.namespace, gateway.spec.listeners)
    for key, listener_set in resources.listener_sets.items():
        if parent_of(listener_set) in gateways:
            yield from _of("ListenerSet", key.namespace, listener_set.spec.listeners)


def _of(kind: str, home: str, listeners: Iterable[Listener]) -> Iterator[Reference]:
    for listener in listeners:
        for ref in listener.tls.certificate_refs if listener.tls else ():
            if (ref.group, ref.kind) == ("", "Secret"):
                yield Reference(
                    kind=kind,
                    namespace=home,
                    to_group="",
                    to_kind="Secret",
                    to_namespace=ref.namespace or home,
                    to_name=ref.name,
                )
