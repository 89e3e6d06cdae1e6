"""The difference between two mappings, by identity: all values are frozen, so an unchanged value is the same object.

Usually one value among thousands changes. So a mapping that is derived from another one records which keys changed
(Revision), and the difference needs no comparison. Other mappings are compared key by key; if they have the same keys
in the same order, at the speed of `map`.
"""

from collections.abc import Mapping
from itertools import compress
from operator import is_not
from typing import Any, NoReturn, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Revision(dict[K, V]):
    """An immutable mapping, derived from another one by `replaced`. It does not keep the earlier one alive."""

    __slots__ = ("_base", "_changed", "_self")

    def __init__(self, entries: Any = (), base: Mapping[K, V] | None = None, changed: frozenset[K] = frozenset()):
        """`changed`: the keys that only one of this mapping and `base` has, or whose values differ."""
        super().__init__(entries)
        self._self = object()  # identifies this mapping in those derived from it
        self._base = base._self if isinstance(base, Revision) else None
        self._changed = changed

    def changed_since(self, old: Mapping[K, V]) -> frozenset[K] | None:
        """The keys that differ from `old`, if this mapping was derived from it, else None."""
        known = isinstance(old, Revision) and self._base is old._self
        return self._changed if known else None

    def _change(self, changes: Mapping[K, V | None]) -> None:
        """Only for its maker, before anybody else has it."""
        for key, value in changes.items():
            if value is None:
                super().__delitem__(key)
            else:
                super().__setitem__(key, value)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a Revision is immutable")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse


def changed_keys(old: Mapping[K, V], new: Mapping[K, V]) -> frozenset[K]:
    """Keys that only one of the mappings has, or whose values are not the same object."""
    if old is new:
        return frozenset()
    if isinstance(new, Revision) and (known := new.changed_since(old)) is not None:
        return known
    if len(old) == len(new) and list(old) == list(new):  # comparing lists checks identity first
        return frozenset(compress(new, map(is_not, old.values(), new.values())))
    changed = compress(new, map(is_not, map(old.get, new), new.values()))
    return frozenset(changed) | (old.keys() - new.keys())


def replaced(old: Mapping[K, V], changes: Mapping[K, V | None], *, in_order: bool = False) -> Mapping[K, V]:
    """`old` with some values replaced (None: removed); `old` itself if nothing changes.

    New keys come last. If most keys are new, or with `in_order`, all keys are sorted.
    """
    if changes:
        changes = {key: value for key, value in changes.items() if old.get(key) is not value}
    if not changes:
        return old
    changed, added = frozenset(changes), sum(key not in old for key in changes)
    new = Revision(old, old, changed)
    new._change(changes)
    if added and (in_order or added > len(old)):
        in_key_order = sorted(new)  # type: ignore[type-var]  # the keys of one mapping are comparable
        return Revision({key: new[key] for key in in_key_order}, old, changed)
    return new
