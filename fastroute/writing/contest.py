"""Contest: two installations with one controllerName but different Leases, which overwrite each other's statuses.

It is detected by writes that must be repeated: a status that this installation wrote has changed, although the wanted
status has not. If that happens MANY times WITHIN a few seconds, the statuses are contested. Each installation then adds
a claim to the status of each of its GatewayClasses, which both watch: a condition of type TYPE with the name and the
creation time of its Lease. The API server sets that time, all replicas of an installation share the Lease, and it
survives their restarts, so both sides come to the same decision: the older Lease writes; at equal times, the first by
name. An installation that sees an older claim than its own stops writing for PAUSE, then tries again, because the older
one may have been removed.

A person or a tool that reverts our entries makes no claim, so they are written again.
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
WITHIN = 10.0  # s; a change of a status within this time after a write of it is a revert
MANY = 5  # reverted writes, of all objects, within WITHIN
PAUSE = 600.0  # s for which the younger installation does not write

_log = logging.getLogger(__name__)
_SAID = re.compile(r"Lease (\S+), created (\S+), writes")


class Claim(NamedTuple):
    """Sorts by age: the older claim is the smaller one."""

    created: str  # metadata.creationTimestamp of the Lease
    lease: str  # "ns/name"


class Contest:
    """What one writer knows about the contest. Times are on trio's clock."""

    def __init__(self, controller_name: str) -> None:
        self._name = controller_name
        self._written: dict[ObjectId, tuple[StatusPatch, float]] = {}  # writes of the last WITHIN seconds
        self._changed_back: deque[float] = deque(maxlen=MANY)
        self._known_until = -math.inf  # until when the statuses are contested

    def wrote(self, id_: ObjectId, patch: StatusPatch, now: float) -> bool:
        """Whether this write repeats a recent write of the same status. Logs an error when there were so many
        repetitions that another installation must be writing."""
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
                "statuses are reverted soon after they are written, last that of %s %s: does another installation "
                "have the controllerName %s? Give each installation its own --controller-name and GatewayClass",
                *id_,
                self._name,
            )
        return True

    def yields(self, theirs: Claim | None, ours: Claim | None, now: float) -> bool:
        """Whether the other side has the older claim and is writing, so that this side must stop."""
        if theirs is None or ours is None or ours <= theirs or not self._has_begun(now):
            return False
        self._changed_back.clear()
        self._known_until = -math.inf
        _log.error(
            "another installation with the controllerName %s writes the statuses: its Lease %s was created at %s, "
            "before the Lease of this one; trying again in %.0f s",
            self._name,
            theirs.lease,
            theirs.created,
            PAUSE,
        )
        return True

    def claims(self, now: float) -> bool:
        """Whether the GatewayClasses must contain our claim."""
        return self._lasts(now)

    def _is_on(self, now: float) -> bool:
        return len(self._changed_back) == MANY and now - self._changed_back[0] <= WITHIN

    def _lasts(self, now: float) -> bool:
        """Whether the statuses are contested, or were within the last PAUSE seconds."""
        if self._is_on(now):
            self._known_until = now + PAUSE
        return now <= self._known_until

    def _has_begun(self, now: float) -> bool:
        """Whether a write was reverted within WITHIN: only then is an older claim believed."""
        return bool(self._changed_back) and now - self._changed_back[-1] <= WITHIN


def claim_of(status: Mapping[str, Any]) -> Claim | None:
    """The claim in the status of a GatewayClass."""
    for one in full_conditions(status):
        if one["type"] == TYPE and (said := _SAID.match(one["message"])):
            return Claim(said[2], said[1])
    return None


def with_claim(status: dict[str, Any], claim: Claim | None, generation: int, now: str) -> dict[str, Any]:
    """The `status` of a GatewayClass with this claim instead of any other. `now`: RFC 3339."""
    stated = [one.get("observedGeneration") for one in status.get("conditions") or () if one.get("type") == TYPE]
    if claim_of(status) == claim and (claim is None or stated == [generation]):
        return status
    others = [one for one in status.get("conditions") or () if one.get("type") != TYPE]
    if claim is None:
        return {**status, "conditions": others}
    made = {
        "type": TYPE,
        "status": "True",
        "reason": "Contested",
        "message": f"Lease {claim.lease}, created {claim.created}, writes the statuses of this controllerName: several "
        f"installations use it, and this is the oldest known Lease. Give each its own controllerName.",
        "observedGeneration": generation,
        "lastTransitionTime": now,
    }
    return {**status, "conditions": [*others, made]}
