"""What is read of statuses that others wrote: nobody has checked their shape, so whatever does not fit is not there."""

from collections.abc import Mapping
from typing import Any


def entries(status: Mapping[str, Any], field: str, name: str) -> list[dict[str, Any]]:
    """The mappings in the list `field` that have a text under `name`, as they were read."""
    read = status.get(field)
    if not isinstance(read, list):
        return []
    return [entry for entry in read if isinstance(entry, dict) and isinstance(entry.get(name), str)]
