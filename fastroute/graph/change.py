"""What differs between two worlds, by identity: everything that flows is frozen, so "unchanged" is `is`."""

from bisect import insort
from collections.abc import Callable, Mapping
from operator import is_not
from typing import Any, TypeVar

import msgspec

from fastroute.graph.node import RouteId
from fastroute.resources.core import Namespace, Service
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources

K = TypeVar("K")
V = TypeVar("V")

FEW = 30  # new keys that are put in one by one; for more, sorting all is cheaper


class Touched(msgspec.Struct, frozen=True):
    """Keys whose object is not the same as last time: added, changed or removed."""

    routes: frozenset[RouteId]
    classes: frozenset[Key]
    gateways: frozenset[Key]
    grants: frozenset[Key]
    namespaces: frozenset[Key]  # whose labels differ
    services: frozenset[Key]  # whose spec differs
    slices: frozenset[Key]


def find_touched(old: Resources, new: Resources) -> Touched:
    http = changed_keys(old.http_routes, new.http_routes)
    grpc = changed_keys(old.grpc_routes, new.grpc_routes)
    return Touched(
        routes=frozenset({("HTTPRoute", key) for key in http} | {("GRPCRoute", key) for key in grpc}),
        classes=changed_keys(old.gateway_classes, new.gateway_classes),
        gateways=changed_keys(old.gateways, new.gateways),
        grants=changed_keys(old.reference_grants, new.reference_grants),
        namespaces=_differing(old.namespaces, new.namespaces, _labels),
        services=_differing(old.services, new.services, _spec),
        slices=changed_keys(old.endpoint_slices, new.endpoint_slices),
    )


def changed_keys(old: Mapping[K, V], new: Mapping[K, V]) -> frozenset[K]:
    """Keys that only one of both has, or whose values are not the very same object.

    The usual case, one edit among thousands in the same order, is found at the speed of `map`.
    """
    if old is new:
        return frozenset()
    if len(old) == len(new) and not any(map(is_not, old, new)):
        differs = map(is_not, old.values(), new.values())
        return frozenset(key for key, differing in zip(new, differs, strict=True) if differing)
    get = old.get
    changed = {key for key, value in new.items() if get(key) is not value}
    return frozenset(changed | (old.keys() - new.keys()))


def _differing(old: Mapping[Key, V], new: Mapping[Key, V], part: Any) -> frozenset[Key]:
    keys = changed_keys(old, new)
    return frozenset(key for key in keys if key not in old or key not in new or part(old[key]) != part(new[key]))


def _labels(namespace: Namespace) -> dict[str, str]:
    return namespace.metadata.labels


def _spec(service: Service) -> Any:
    return service.spec


def replaced(old: Mapping[K, V], changes: Mapping[K, V | None]) -> Mapping[K, V]:
    """`old` with some values replaced (None: removed); `old` itself when nothing changes.

    Keys stay in order, if those of `old` are: a few new ones are put where they belong, without sorting the rest.
    """
    changes = {key: value for key, value in changes.items() if old.get(key) is not value}
    if not changes:
        return old
    new = dict(old)
    added: dict[K, V] = {}
    for key, value in changes.items():
        if value is None:
            del new[key]
        elif key in new:
            new[key] = value
        else:
            added[key] = value
    return _merged(new, added) if added else new


def _merged(old: dict[K, V], added: dict[K, V]) -> dict[K, V]:
    keys: list[Any] = list(old)
    if len(added) > FEW:
        keys = sorted([*keys, *added])
    else:
        for key in added:
            insort(keys, key)
    old.update(added)
    return {key: old[key] for key in keys}


def kept_all(old: Mapping[K, V], new: Mapping[K, V], keep: Callable[[V | None, V], V]) -> Mapping[K, V]:
    """`keep` for each value, and `old` itself where nothing differs."""
    merged = {key: keep(old.get(key), value) for key, value in new.items()}
    return merged if changed_keys(old, merged) else old


def kept(old: V | None, new: V) -> V:
    """`old` where it says the same, so that who looks at identity sees no change."""
    return old if old is not None and old == new else new
