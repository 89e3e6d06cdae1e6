"""The log of ReferenceGrants that were created, changed or deleted, and of the references that they permit or refuse.

If there are too many at a time, the namespaces take turns.
"""

import logging
from collections.abc import Sequence

from fastroute.fairness import fair_part
from fastroute.graph.audit import GrantChange

AT_MOST = 100  # lines at a time

_log = logging.getLogger(__name__)


def log_grants(changes: Sequence[GrantChange]) -> None:
    """A grant by which something is refused is a warning."""
    for change in fair_part(changes, AT_MOST, lambda change: change.grant.metadata.namespace):
        level = logging.WARNING if change.refuses else logging.INFO
        _log.log(level, "ReferenceGrant %s: %s", change.grant.key, change.note)
    if (more := len(changes) - AT_MOST) > 0:
        _log.warning("%d more ReferenceGrants were created, changed or deleted", more)
