"""Differences between two Resources, found by identity: objects are frozen, so unchanged ones are identical."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from fastroute.difference import changed_keys
from fastroute.graph.dependency import Dependencies
from fastroute.graph.node import RouteId
from fastroute.resources.meta import Key
from fastroute.resources.route_kinds import ROUTES
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
    slices: frozenset[Key]
    policies: frozenset[Key]  # BackendTLSPolicies
    telemetry: frozenset[Key]  # XTelemetryPolicies
    entries: Dependencies = frozenset()  # of the indexes that are known before anything is built


def find_touched(old: Resources, new: Resources) -> Touched:
    routes = {name: changed_keys(old.routes(kind), new.routes(kind)) for name, kind in ROUTES.items()}
    return Touched(
        routes=frozenset((name, key) for name, keys in routes.items() for key in keys),
        classes=changed_keys(old.gateway_classes, new.gateway_classes),
        gateways=changed_keys(old.gateways, new.gateways),
        listener_sets=changed_keys(old.listener_sets, new.listener_sets),
        grants=changed_keys(old.reference_grants, new.reference_grants),
        slices=changed_keys(old.endpoint_slices, new.endpoint_slices),
        policies=changed_keys(old.backend_tls_policies, new.backend_tls_policies),
        telemetry=changed_keys(old.telemetry_policies, new.telemetry_policies),
    )


def kept_all(old: Mapping[K, V], new: Mapping[K, V], keep: Callable[[V | None, V], V]) -> Mapping[K, V]:
    """`keep` applied to each value; `old` itself if nothing changed."""
    merged = {key: keep(old.get(key), value) for key, value in new.items()}
    return merged if changed_keys(old, merged) else old


def kept(old: V | None, new: V) -> V:
    """`old` if it is equal to `new`, so that comparison by identity finds no change."""
    return old if old is not None and old == new else new
