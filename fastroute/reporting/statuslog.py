"""StatusLog: keeps the statuses and logs their changes. Used if there is no API server to write them to.

For a new object only the conditions that report a failure are logged; after that, every condition that changes. If
there are too many at a time, the namespaces take turns.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter

from fastroute.difference import changed_keys
from fastroute.fairness import fair_part
from fastroute.resources.meta import Key
from fastroute.resources.status_patch import StatusPatch
from fastroute.status import Statuses
from fastroute.status.stated import stated_conditions

AT_MOST = 100  # lines at a time

_log = logging.getLogger(__name__)
_BAD = {"Conflicted": "True"}  # for all other types "False" is a failure

Patches = Mapping[tuple[str, Key], StatusPatch]


class StatusLog:
    """`written` is called with the number of statuses that changed."""

    def __init__(self, written: Callable[[int], None] = lambda count: None) -> None:
        self._written = written
        self._patches: Patches = {}

    @property
    def patches(self) -> Patches:
        """The statuses last posted, by (kind, key)."""
        return self._patches

    def post(self, statuses: Statuses) -> None:
        before, patches = self._patches, statuses.patches
        self._patches = patches
        changed = changed_keys(before, patches)
        anew = sorted(id_ for id_ in changed if id_ in patches and before.get(id_) != patches[id_])
        changes = [(id_[1].namespace, one) for id_ in anew for one in _changes(id_, before.get(id_), patches[id_])]
        for _, (level, text) in fair_part(changes, AT_MOST, itemgetter(0)):
            _log.log(level, "%s", text)
        if len(changes) > AT_MOST:
            _log.warning("%d more conditions changed", len(changes) - AT_MOST)
        if anew:
            self._written(len(anew))


def _changes(id_: tuple[str, Key], before: StatusPatch | None, patch: StatusPatch) -> Iterator[tuple[int, str]]:
    """Log level and line of each condition of an object that changed."""
    name = f"{id_[0]} {id_[1]}"
    known = dict(stated_conditions(before.status)) if before else {}
    for at, (status, reason, message) in stated_conditions(patch.status):
        type_ = at[-1]
        bad = status == _BAD.get(type_, "False")
        if known.get(at) == (status, reason, message) or (before is None and not bad):
            continue
        where = f"{name} {at[0]}".rstrip()
        yield logging.WARNING if bad else logging.INFO, f"{where}: {type_}={status}/{reason}: {message}"
