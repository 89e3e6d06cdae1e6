"""Named: the Secrets and ConfigMaps to follow by name.

ConfigMaps are followed while a BackendTLSPolicy or a Gateway of ours names them. Secrets: a certificateRef names them
and the watch by type does not include them.

A Secret of another type than kubernetes.io/tls may contain a certificate as well, and a missing Secret may be created
with any type. Each watch by name needs a connection and a thread, so at most MOST of each kind run. The others are read
in turn (looks.py), so they are served too, but changes are noticed later.

- Objects that exist are watched before those that are missing.
- In both groups, the namespaces that name them take turns: one namespace cannot use up the watches.
- A name that no object can have is not followed: the schema of references has no pattern for names.
- Last come Secrets that no ReferenceGrant permits, and those that a ListenerSet names which its Gateway does not allow.
  They are watched if there is room, so that a Secret is already known when it is permitted; else they are not read. No
  problem is reported for them: it would reveal whether such a Secret exists.
"""

import re
from collections.abc import Container, Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import msgspec

from fastroute.fairness import interleaved
from fastroute.graph.credential import client_certificate_ref
from fastroute.graph.frontend import authority_refs, reference_to
from fastroute.graph.grant import Reference, index_grants, permitted
from fastroute.graph.listenerset import is_allowed, parent_of
from fastroute.resources.core import Namespace, Secret
from fastroute.resources.gateway import Gateway, GatewayClass, Listener, ListenerSet, SecretObjectReference
from fastroute.resources.meta import Key
from fastroute.resources.policy import BackendTLSPolicy, ReferenceGrant
from fastroute.resources.shape import SUBDOMAIN
from fastroute.resources.world import Resources

MOST = 64  # watches by name, of each kind
DECIDING = (
    BackendTLSPolicy,
    GatewayClass,
    Gateway,
    ListenerSet,
    Namespace,
    ReferenceGrant,
    Secret,
)  # the kinds that decide what is followed by name
PERMITTING = (GatewayClass, ReferenceGrant)  # the kinds that decide which ConfigMaps a known Gateway may use
NAME = re.compile(SUBDOMAIN)


class Named(NamedTuple):
    """A Secret or ConfigMap, and the namespace of an object that names it."""

    space: str
    key: Key


class Names(NamedTuple):
    """The objects of one kind that are named."""

    permitted: frozenset[Named]
    refused: frozenset[Named]


class Choice(NamedTuple):
    """How to follow objects by name."""

    watched: tuple[Key, ...]
    unwatched: frozenset[Named]  # these are read one after the other


def named_secrets(resources: Resources, controller_name: str) -> Names:
    """The Secrets named by our Gateways, and by listeners of ListenerSets that refer to these."""
    return _judged(list(_references(resources, controller_name)), resources)


def _judged(references: list[tuple[bool, Reference]], resources: Resources) -> Names:
    """`references`: each with whether it is served if it is permitted."""
    spaces = {reference.to_namespace for _, reference in references if reference.namespace != reference.to_namespace}
    every = resources.reference_grants if spaces else {}  # there may be many, and most references need none
    grants = index_grants({key: grant for key, grant in every.items() if key.namespace in spaces})
    named: dict[bool, set[Named]] = {True: set(), False: set()}
    for is_served, reference in references:
        secret = Key(reference.to_namespace, reference.to_name)
        named[is_served and permitted(reference, grants)].add(Named(reference.namespace, secret))
    return Names(frozenset(named[True]), frozenset(named[False]))


def named_config_maps(resources: Resources, controller_name: str) -> Names:
    """The ConfigMaps named by BackendTLSPolicies, and by our Gateways. For which Services the policies are does not
    matter: it changes often."""
    named = frozenset[Named]().union(*map(_of_policy, resources.backend_tls_policies.values()))
    of_gateways = config_maps_of_gateways(resources, controller_name)
    return of_gateways._replace(permitted=of_gateways.permitted | named)


def config_maps_of_gateways(resources: Resources, controller_name: str) -> Names:
    gateways = _our_gateways(resources, controller_name).items()
    refs = [(key, ref) for key, gateway in gateways for ref in authority_refs(gateway)]
    references = [(True, reference_to(key, ref)) for key, ref in refs if (ref.group, ref.kind) == ("", "ConfigMap")]
    return _judged(references, resources)


def config_maps_of(one: BackendTLSPolicy | Gateway, resources: Resources, controller_name: str) -> frozenset[Named]:
    """The ConfigMaps that one object names and may use. `resources`: the others."""
    if isinstance(one, BackendTLSPolicy):
        return _of_policy(one)
    if not any(authority_refs(one)):
        return frozenset()
    alone = msgspec.structs.replace(resources, gateways={one.key: one})
    return config_maps_of_gateways(alone, controller_name).permitted


def _of_policy(policy: BackendTLSPolicy) -> frozenset[Named]:
    home = policy.metadata.namespace
    refs = policy.spec.validation.authorities if policy.spec.validation else ()
    return frozenset(Named(home, Key(home, ref.name)) for ref in refs if (ref.group, ref.kind) == ("", "ConfigMap"))


NAMING = {"Secret": named_secrets, "ConfigMap": named_config_maps}  # the kinds that are followed by name


def choose(names: Names, known: Container[Key], found: Container[Key], watched: Container[Key]) -> Choice:
    """`known`: what the watch by type includes. `found`: other Secrets that exist, as far as is known. `watched`: what
    is watched by name at present; among equal objects of a namespace these are preferred."""

    def rank(one: Named) -> tuple[bool, Named]:
        return one.key not in watched, one

    wanted = sorted((one for one in names.permitted if _may_exist(one, known)), key=rank)
    groups = (
        [one for one in wanted if one.key in found],
        [one for one in wanted if one.key not in found],
        sorted((one for one in names.refused if _may_exist(one, known)), key=rank),
    )
    order = dict.fromkeys(one.key for group in groups for one in interleaved(group, lambda one: one.space))
    first = tuple(order)[:MOST]
    rest = {one.key: one for one in reversed(wanted)}  # each object once
    for key in first:
        rest.pop(key, None)
    return Choice(first, frozenset(rest.values()))


def _may_exist(one: Named, known: Container[Key]) -> bool:
    return one.key not in known and is_possible(one.key)


def is_possible(key: Key) -> bool:
    """Whether an object can have this name."""
    return NAME.fullmatch(key.name) is not None


def _references(resources: Resources, controller_name: str) -> Iterator[tuple[bool, Reference]]:
    """Each reference, and whether it is served if it is permitted."""
    gateways = _our_gateways(resources, controller_name)
    for key, gateway in gateways.items():
        shown = client_certificate_ref(gateway)
        refs = chain(_secrets_of(gateway.spec.listeners), (shown,) if shown else ())
        yield from ((True, reference) for reference in _of("Gateway", key.namespace, refs))
    for key, listener_set in resources.listener_sets.items():
        if (parent := parent_of(listener_set)) in gateways:
            home = resources.namespaces.get(Key("", key.namespace))
            allowed = is_allowed(gateways[parent], listener_set, home)
            for reference in _of("ListenerSet", key.namespace, _secrets_of(listener_set.spec.listeners)):
                yield allowed, reference


def _our_gateways(resources: Resources, controller_name: str) -> dict[Key, Gateway]:
    ours = {key.name for key, item in resources.gateway_classes.items() if item.spec.controller_name == controller_name}
    return {key: item for key, item in resources.gateways.items() if item.spec.gateway_class_name in ours}


def _secrets_of(listeners: Iterable[Listener]) -> Iterator[SecretObjectReference]:
    for listener in listeners:
        yield from listener.tls.certificate_refs if listener.tls else ()


def _of(kind: str, home: str, refs: Iterable[SecretObjectReference]) -> Iterator[Reference]:
    for ref in refs:
        if (ref.group, ref.kind) == ("", "Secret"):
            yield Reference(
                kind=kind,
                namespace=home,
                to_group="",
                to_kind="Secret",
                to_namespace=ref.namespace or home,
                to_name=ref.name,
            )
