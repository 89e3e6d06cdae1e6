"""Differences between two Resources, found by identity: objects are frozen, so unchanged ones are identical."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from fastroute.difference import changed_keys
from fastroute.graph.node import RouteId
from fastroute.graph.policy import services_of
from fastroute.resources.core import Namespace, Secret, Service
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources

K = TypeVar("K")
V = TypeVar("V")


class Touched(msgspec.Struct, frozen=True):
    """Keys of objects that were added, changed or removed."""

    routes: frozenset[RouteId]
    classes: frozenset[Key]
    gateways: frozenset[Key]
    listener_sets: frozenset[Key]
    grants: frozenset[Key]
    namespaces: frozenset[Key]  # whose labels changed
    services: frozenset[Key]  # whose spec changed
    secrets: frozenset[Key]  # whose content changed
    slices: frozenset[Key]
    policies: frozenset[Key]  # BackendTLSPolicies
    secured_services: frozenset[Key]  # that these policies target or targeted


def find_touched(old: Resources, new: Resources) -> Touched:
    http = changed_keys(old.http_routes, new.http_routes)
    grpc = changed_keys(old.grpc_routes, new.grpc_routes)
    policies = changed_keys(old.backend_tls_policies, new.backend_tls_policies)
    versions = [world.backend_tls_policies.get(key) for key in policies for world in (old, new)]
    return Touched(
        routes=frozenset({("HTTPRoute", key) for key in http} | {("GRPCRoute", key) for key in grpc}),
        classes=changed_keys(old.gateway_classes, new.gateway_classes),
        gateways=changed_keys(old.gateways, new.gateways),
        listener_sets=changed_keys(old.listener_sets, new.listener_sets),
        grants=changed_keys(old.reference_grants, new.reference_grants),
        namespaces=_differing(old.namespaces, new.namespaces, _labels),
        services=_differing(old.services, new.services, _spec),
        secrets=_differing(old.secrets, new.secrets, _data),
        slices=changed_keys(old.endpoint_slices, new.endpoint_slices),
        policies=policies,
        secured_services=frozenset(key for policy in versions if policy for key in services_of(policy)),
    )


def _differing(old: Mapping[Key, V], new: Mapping[Key, V], part: Any) -> frozenset[Key]:
    keys = changed_keys(old, new)
    return frozenset(key for key in keys if key not in old or key not in new or part(old[key]) != part(new[key]))


def _labels(namespace: Namespace) -> dict[str, str]:
    return namespace.metadata.labels


def _data(secret: Secret) -> dict[str, str]:
    return secret.data


def _spec(service: Service) -> Any:
    return service.spec


def kept_all(old: Mapping[K, V], new: Mapping[K, V], keep: Callable[[V | None, V], V]) -> Mapping[K, V]:
    """`keep` applied to each value; `old` itself if nothing changed."""
    merged = {key: keep(old.get(key), value) for key, value in new.items()}
    return merged if changed_keys(old, merged) else old


def kept(old: V | None, new: V) -> V:
    """`old` if it is equal to `new`, so that comparison by identity finds no change."""
    return old if old is not None and old == new else new
