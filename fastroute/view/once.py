"""What is found once for each Graph: with thousands of routes it takes milliseconds, and most questions are about a
Graph that was asked about before."""

from collections.abc import Callable
from typing import Protocol, TypeVar
from weakref import WeakKeyDictionary

from fastroute.graph.node import Graph
from fastroute.snapshot import Snapshot

Found = TypeVar("Found")


class Served(Protocol):
    """The parts of a State that do not change without a new Graph."""

    @property
    def graph(self) -> Graph: ...

    @property
    def snapshot(self) -> Snapshot: ...


def once(find: Callable[[Served], Found]) -> Callable[[Served], Found]:
    """What `find` returns is forgotten together with the Graph. It must not refer to the Graph, which would never be
    freed then."""
    known: WeakKeyDictionary[Graph, tuple[Snapshot, Found]] = WeakKeyDictionary()

    def found(served: Served) -> Found:
        held = known.get(served.graph)
        if held is None or held[0] is not served.snapshot:
            held = known[served.graph] = served.snapshot, find(served)
        return held[1]

    return found
