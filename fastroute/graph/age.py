"""Who was there first: the tie-breaker of the whole API (oldest creationTimestamp, then namespace/name)."""

from datetime import datetime
from functools import lru_cache

from fastroute.resources.meta import Resource

Age = tuple[int, str]


def age(resource: Resource) -> Age:
    """Sorts oldest first. The name counts as one text, "namespace/name"; missing timestamps count as equal."""
    return created(resource.metadata.creation_timestamp), str(resource.key)


@lru_cache(maxsize=16_384)
def created(timestamp: str) -> int:
    """An RFC 3339 time in seconds, so that times written in different zones compare; absent ones are all 0."""
    try:
        return int(datetime.fromisoformat(timestamp.upper()).timestamp())
    except ValueError:
        return 0
