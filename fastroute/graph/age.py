"""Precedence by age, the tie-breaker of the whole API (oldest creationTimestamp, then namespace/name)."""

from datetime import datetime
from functools import lru_cache

from fastroute.resources.meta import Resource

Age = tuple[int, str]
NOT_CREATED = 2**32 - 1  # seconds: in the year 2106


def age(resource: Resource) -> Age:
    """Sort key, oldest first. Names are compared as "namespace/name"."""
    return created(resource.metadata.creation_timestamp), str(resource.key)


@lru_cache(maxsize=16_384)
def created(timestamp: str) -> int:
    """An RFC 3339 time in seconds, so that times of different zones can be compared. NOT_CREATED if it is missing or
    invalid: an object that is not in a cluster yet will be younger than all objects that are."""
    try:
        return min(int(datetime.fromisoformat(timestamp.upper()).timestamp()), NOT_CREATED)
    except ValueError:
        return NOT_CREATED
