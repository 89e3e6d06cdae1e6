"""Objects that the stages cannot work with, though their schema is kept: a mistake of ours, and no reason to keep
everybody's changes from being served.

Which of many changes it was is found by trying them: all, then halves, each on top of what worked before. Of an object
that is to blame its last good version stands in (or nothing, if there is none) until the object changes again.
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
    """Of one object: what it was, and what it shall be. None: there is none."""

    kind: str
    field: str  # of Resources
    key: Key
    before: Any
    after: Any


class Quarantine:
    """What is held back."""

    def __init__(self) -> None:
        self._held: list[Change] = []
        self._stood_in: tuple[Resources, Resources] | None = None  # what `stand_in` was given last, and gave

    def stand_in(self, resources: Resources) -> Resources:
        """`resources` with what stands in for those objects that still are as they were held back; the very same for
        the very same."""
        if self._stood_in is None or self._stood_in[0] is not resources:
            self._held = [each for each in self._held if getattr(resources, each.field).get(each.key) is each.after]
            self._stood_in = resources, _with(resources, [each._replace(after=each.before) for each in self._held])
        return self._stood_in[1]

    async def find(self, good: Resources, wanted: Resources, base: T, attempt: Callable[[Resources, T], T]) -> bool:
        """Holds back what of `wanted` makes `attempt(resources, base)` raise, and says whether there was anything.

        Each attempt is given what the last good one returned; `base` is what came of `good`. If an attempt with
        `good` raises as well, no object is to blame.
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
        """Within the handling of what was raised."""
        former = next((each for each in self._held if (each.field, each.key) == (change.field, change.key)), None)
        if former is not None:  # what stood in for it will not do any more
            self._held.remove(former)
            change = change._replace(after=former.after)
        self._held.append(change)
        self._stood_in = None
        what = "its last good version is served" if change.before is not None else "it is not served"
        if change.after is None:
            what = "it is served as if it were still there"
        _log.exception(
            "%s %s cannot be worked with, a mistake of fastroute: %s until it changes. Please report this.",
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
