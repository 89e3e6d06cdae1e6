"""Precedence by age, the tie-breaker of the whole API (oldest creationTimestamp, then namespace/name)."""

from datetime import datetime
from functools import lru_cache

from fastroute.resources.meta import Resource

Age = tuple[int, str]


def age(resource: Resource) -> Age:
    """Sort key, oldest first. Names are compared as "namespace/name"; missing timestamps are equal."""
    return created(resource.metadata.creation_timestamp), str(resource.key)


@lru_cache(maxsize=16_384)
def created(timestamp: str) -> int:
    """An RFC 3339 time in seconds, so that times of different zones can be compared; 0 if it is missing or invalid."""
    try:
        return int(datetime.fromisoformat(timestamp.upper()).timestamp())
    except ValueError:
        return 0
