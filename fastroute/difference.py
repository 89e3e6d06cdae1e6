"""What differs between two mappings, by identity: everything that flows is frozen, so "unchanged" is `is`.

One change among thousands is the usual case. So a mapping made of another one knows what it changed (Revision): then
the question is answered without a look at the rest. Two mappings of which nothing is known are compared key by key; if
they have the same keys in the same order, at the speed of `map`.
"""

from collections.abc import Mapping
from itertools import compress
from operator import is_not
from typing import Any, NoReturn, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Revision(dict[K, V]):
    """A mapping that never changes, made of another one by `replaced`. Holds no earlier one."""

    __slots__ = ("_base", "_changed", "_self")

    def __init__(self, entries: Any = (), base: Mapping[K, V] | None = None, changed: frozenset[K] = frozenset()):
        """`changed`: the keys that only one of this and `base` has, or that have another value in it."""
        super().__init__(entries)
        self._self = object()  # stands for this mapping in those made of it
        self._base = base._self if isinstance(base, Revision) else None
        self._changed = changed

    def changed_since(self, old: Mapping[K, V]) -> frozenset[K] | None:
        """What differs from `old`, if this was made of it; else None: nothing is known."""
        known = isinstance(old, Revision) and self._base is old._self
        return self._changed if known else None

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a Revision never changes")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse


def changed_keys(old: Mapping[K, V], new: Mapping[K, V]) -> frozenset[K]:
    """Keys that only one of both has, or whose values are not the very same object."""
    if old is new:
        return frozenset()
    if isinstance(new, Revision) and (known := new.changed_since(old)) is not None:
        return known
    if len(old) == len(new) and list(old) == list(new):  # a list looks at identity first
        return frozenset(compress(new, map(is_not, old.values(), new.values())))
    changed = compress(new, map(is_not, map(old.get, new), new.values()))
    return frozenset(changed) | (old.keys() - new.keys())


def replaced(old: Mapping[K, V], changes: Mapping[K, V | None], *, in_order: bool = False) -> Mapping[K, V]:
    """`old` with some values replaced (None: removed); `old` itself when nothing changes.

    Keys that are new come last, unless they are the most: then, or if `in_order` is wanted, all are sorted.
    """
    changes = {key: value for key, value in changes.items() if old.get(key) is not value}
    if not changes:
        return old
    new: dict[K, V] = dict(old)
    for key, value in changes.items():
        if value is None:
            del new[key]
        else:
            new[key] = value
    added = sum(key not in old for key in changes)
    if added and (in_order or added > len(old)):
        new = {key: new[key] for key in sorted(new)}  # type: ignore[type-var]
    return Revision(new, old, frozenset(changes))
