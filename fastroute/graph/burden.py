"""Burden: whose listeners made a change expensive. Pure.

If a Gateway, one of its ListenerSets or something that they depend on changes, all its listeners are examined,
published and installed again. So what one change costs depends on the listeners of other namespaces (source/debts.py).
"""

from collections import Counter

from fastroute.difference import changed_keys
from fastroute.graph.node import Graph


def burdens(before: Graph, now: Graph) -> Counter[str]:
    """The number of listeners of the families that were built again, by the namespace of their object."""
    old = before.memo.families.families if before.memo is not None else {}
    found: Counter[str] = Counter()
    for key in changed_keys(old, now.memo.families.families):
        family = now.memo.families.families.get(key)
        if family is not None:
            for holder in (family.node, *family.sets):
                found[holder.key.namespace] += len(holder.listeners)
    return found
