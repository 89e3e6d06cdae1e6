"""What differs between two mappings, by identity: everything that flows is frozen, so "unchanged" is `is`.

One edit among thousands is the usual case, and keys are in order: such a pair is compared at the speed of `map`.
"""

from bisect import insort
from collections.abc import Mapping
from itertools import compress
from operator import is_not
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")

FEW = 30  # new keys that are put in one by one; for more, sorting all is cheaper


def changed_keys(old: Mapping[K, V], new: Mapping[K, V]) -> frozenset[K]:
    """Keys that only one of both has, or whose values are not the very same object."""
    if old is new:
        return frozenset()
    if same_keys(old, new):
        return frozenset(compress(new, map(is_not, old.values(), new.values())))
    changed = compress(new, map(is_not, map(old.get, new), new.values()))
    return frozenset(changed) | (old.keys() - new.keys())


def same_keys(old: Mapping[K, Any], new: Mapping[K, Any]) -> bool:
    """Whether both have the same keys in the same order."""
    return len(old) == len(new) and list(old) == list(new)  # a list looks at identity first


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
    return dict(zip(keys, map(old.__getitem__, keys), strict=True))
