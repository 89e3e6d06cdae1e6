"""Objects that match their schema but make a stage of fastroute raise. That is a bug of fastroute, and must not keep
the changes of other objects from being served.

The faulty changes are found by bisection: first all changes are tried, then halves, each on top of what worked before.
For a faulty object the last good version is served (or nothing, if there is none) until the object changes again.
"""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec
import trio

from fastroute.difference import changed_keys, replaced
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources
from fastroute.source.store import FIELDS

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Change(NamedTuple):
    """A change of one object: its former and its new version. None: it does not exist."""

    kind: str
    field: str  # the name of the field in Resources
    key: Key
    before: Any
    after: Any


class Quarantine:
    """The changes that are held back."""

    def __init__(self) -> None:
        self._held: list[Change] = []
        self._stood_in: tuple[Resources, Resources] | None = None  # the last argument and result of `stand_in`

    def stand_in(self, resources: Resources) -> Resources:
        """`resources` in which each object that is held back, and has not changed since, is replaced by its last good
        version. The result is the same object for the same argument."""
        if self._stood_in is None or self._stood_in[0] is not resources:
            self._held = [each for each in self._held if getattr(resources, each.field).get(each.key) is each.after]
            self._stood_in = resources, _with(resources, [each._replace(after=each.before) for each in self._held])
        return self._stood_in[1]

    async def find(self, good: Resources, wanted: Resources, base: T, attempt: Callable[[Resources, T], T]) -> bool:
        """Holds back the changes in `wanted` that make `attempt(resources, base)` raise. True if there were any.

        Each attempt gets the result of the last successful one; `base` is the result for `good`. If an attempt with
        `good` raises as well, no object is the cause.
        """
        try:
            base = attempt(good, base)
        except Exception:
            return False
        found = False
        lots = [_changes(good, wanted)]
        while lots:
            lot = lots.pop()
            await trio.lowlevel.checkpoint()
            tried = _with(good, lot)
            try:
                base = attempt(tried, base)
                good = tried
            except Exception:
                if len(lot) > 1:
                    half = len(lot) // 2
                    lots += [lot[half:], lot[:half]]
                else:
                    found = True
                    self._hold(lot[0])
        return found

    def _hold(self, change: Change) -> None:
        """Must be called while the exception is handled: it is logged."""
        former = next((each for each in self._held if (each.field, each.key) == (change.field, change.key)), None)
        if former is not None:  # the version that replaced it does not work any more
            self._held.remove(former)
            change = change._replace(after=former.after)
        self._held.append(change)
        self._stood_in = None
        what = "its last good version is served" if change.before is not None else "it is not served"
        if change.after is None:
            what = "although deleted, it is still served"
        _log.exception(
            "%s %s cannot be processed because of a bug in fastroute: %s until it changes. Please report this.",
            change.kind,
            change.key,
            what,
        )


def _changes(good: Resources, wanted: Resources) -> list[Change]:
    return [
        Change(kind.__name__, field, key, getattr(good, field).get(key), getattr(wanted, field).get(key))
        for kind, field in FIELDS.items()
        for key in sorted(changed_keys(getattr(good, field), getattr(wanted, field)))
    ]


def _with(resources: Resources, changes: list[Change]) -> Resources:
    if not changes:
        return resources
    fields: dict[str, dict[Key, Any]] = {}
    for each in changes:
        fields.setdefault(each.field, {})[each.key] = each.after
    return msgspec.structs.replace(
        resources,
        **{field: replaced(getattr(resources, field), new, in_order=True) for field, new in fields.items()},
    )
