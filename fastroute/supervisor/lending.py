"""Which worker accepts from the sockets of a slot that has no serving worker. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping


def lend(slots: int, serving: Collection[int], lent: Mapping[int, int]) -> dict[int, int]:
    """Maps each slot without a serving worker to the slot of the worker that accepts for it.

    An existing assignment is kept. A new one goes to the worker with the fewest. Empty if no worker serves.
    """
    keep = {slot: by for slot, by in lent.items() if slot not in serving and by in serving}
    load = Counter(keep.values())
    for slot in range(slots):
        if serving and slot not in serving and slot not in keep:
            keep[slot] = min(sorted(serving), key=lambda by: load[by])
            load[keep[slot]] += 1
    return keep
