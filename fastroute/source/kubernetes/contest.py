"""Contest: two installations with one controllerName, each with its own Lease, that overwrite each other's statuses.

What is seen of it: a status that we wrote has to be written again, though we still want the same. Where that happens
MANY times WITHIN a few seconds, it is contested. Then whoever writes puts a claim into the status of each GatewayClass
of ours, which both follow: a condition of type TYPE that names its Lease and when that was created. The API server sets
that time, all replicas of an installation share the Lease, and it survives their restarts; so both sides decide alike:
the older Lease writes, on equal times the first by name. The younger one sees an older claim than its own, stops for
PAUSE, and then tries again, as the older one may be gone.

A person or tool that changes our entries back makes no claim, so we go on.
"""

import logging
import math
import re
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from fastroute.graph.entries import full_conditions
from fastroute.resources.status_patch import StatusPatch
from fastroute.status import ObjectId

TYPE = "fastroute.dev/StatusWriter"
WITHIN = 10.0  # s after a write in which it counts as changed back
MANY = 5  # writes that were changed back, of all objects, within as long
PAUSE = 600.0  # s that the younger one does not write

_log = logging.getLogger(__name__)
_SAID = re.compile(r"Lease (\S+), created (\S+), writes")


class Claim(NamedTuple):
    """Compares as its age does: the smaller one is the older."""

    created: str  # metadata.creationTimestamp of the Lease
    lease: str  # "ns/name"


class Contest:
    """What one writer knows of it. Times are trio's clock."""

    def __init__(self, controller_name: str) -> None:
        self._name = controller_name
        self._written: dict[ObjectId, tuple[StatusPatch, float]] = {}  # those WITHIN
        self._changed_back: deque[float] = deque(maxlen=MANY)
        self._known_until = -math.inf  # that it is on, or was moments ago

    def wrote(self, id_: ObjectId, patch: StatusPatch, now: float) -> bool:
        """Whether this write says what the one before it said, a moment ago. Says when there were so many that somebody
        else must be writing."""
        while self._written and now - next(iter(self._written.values()))[1] > WITHIN:  # in the order of time
            del self._written[next(iter(self._written))]
        before = self._written.pop(id_, None)
        self._written[id_] = (patch, now)
        if before is None or before[0] is not patch:
            return False
        knew = self._lasts(now)
        self._changed_back.append(now)
        self._lasts(now)
        if not knew and self._is_on(now):
            _log.error(
                "statuses that we write are changed back at once, last that of %s %s: does another installation "
                "write for the controllerName %s? Give each a --controller-name and a GatewayClass of its own",
                *id_,
                self._name,
            )
        return True

    def yields(self, theirs: Claim | None, ours: Claim | None, now: float) -> bool:
        """Whether the other side shall write: its claim is older, and it does."""
        if theirs is None or ours is None or ours <= theirs or not self._has_begun(now):
            return False
        self._changed_back.clear()
        self._known_until = -math.inf
        _log.error(
            "statuses are left to another installation of the controllerName %s: its Lease %s was created at %s, "
            "before ours; looking again in %.0f s",
            self._name,
            theirs.lease,
            theirs.created,
            PAUSE,
        )
        return True

    def claims(self, now: float) -> bool:
        """Whether our claim is to stand in the GatewayClasses."""
        return self._lasts(now)

    def _is_on(self, now: float) -> bool:
        return len(self._changed_back) == MANY and now - self._changed_back[0] <= WITHIN

    def _lasts(self, now: float) -> bool:
        """Whether it was on, and the last write that was changed back is not long ago."""
        if self._is_on(now):
            self._known_until = now + PAUSE
        return now <= self._known_until

    def _has_begun(self, now: float) -> bool:
        """Whether there was one at all, just now: enough to believe an older claim."""
        return bool(self._changed_back) and now - self._changed_back[-1] <= WITHIN


def claim_of(status: Mapping[str, Any]) -> Claim | None:
    """What the status of a GatewayClass says of who writes."""
    for one in full_conditions(status):
        if one["type"] == TYPE and (said := _SAID.match(one["message"])):
            return Claim(said[2], said[1])
    return None


def with_claim(status: dict[str, Any], claim: Claim | None, generation: int, now: str) -> dict[str, Any]:
    """`status` of a GatewayClass, with this claim instead of another one. `now`: RFC 3339."""
    if claim_of(status) == claim:
        return status
    others = [one for one in status.get("conditions") or () if one.get("type") != TYPE]
    if claim is None:
        return {**status, "conditions": others}
    made = {
        "type": TYPE,
        "status": "True",
        "reason": "Contested",
        "message": f"Lease {claim.lease}, created {claim.created}, writes the statuses of this controllerName: several "
        f"installations have it, and this is the oldest known. Give each a controllerName of its own.",
        "observedGeneration": generation,
        "lastTransitionTime": now,
    }
    return {**status, "conditions": [*others, made]}
