"""Fairness: if something limited is shared, one owner's many items do not displace the others'.

The owner of an item is usually the namespace of an object. In each round, every owner that has items gets one of them
served; the order of one owner's items is kept. So an owner with few items is served completely, whatever their names
are, and what remains is divided equally between the owners with many (max-min fairness).

The items of an owner are in an OrderedDict: a dict from which many first items were removed is slow to find the first
one that remains.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)
Each = TypeVar("Each")
Owner = TypeVar("Owner", bound=Hashable)
Value = TypeVar("Value")


def interleaved(items: Iterable[Each], owner: Callable[[Each], Hashable]) -> Iterator[Each]:
    """All items, one of each owner per round.

    >>> list(interleaved(["a1", "a2", "a3", "b1"], lambda item: item[0]))
    ['a1', 'b1', 'a2', 'a3']
    """
    lines: dict[Hashable, list[Each]] = {}
    for item in items:
        lines.setdefault(owner(item), []).append(item)
    return in_rounds(lines.values())


def in_rounds(lines: Iterable[Iterable[Each]]) -> Iterator[Each]:
    """All items, one of each line per round."""
    rest = [iter(line) for line in lines]
    while rest:
        left = []
        for line in rest:
            for item in line:
                yield item
                left.append(line)
                break
        rest = left


def fair_part(items: Sequence[Each], most: int, owner: Callable[[Each], Hashable]) -> list[Each]:
    """At most `most` of the items, chosen one per owner and round, in their given order.

    >>> fair_part(["a1", "a2", "a3", "b1"], 2, lambda item: item[0])
    ['a1', 'b1']
    """
    if len(items) <= most:
        return list(items)
    chosen = interleaved(range(len(items)), lambda index: owner(items[index]))
    return [items[index] for index in sorted(index for index, _ in zip(chosen, range(most), strict=False))]


class FairQueue(Generic[Item, Owner]):
    """A queue of items, each at most once. `take` takes the oldest item of the owner that has waited longest."""

    def __init__(self, owner: Callable[[Item], Owner]) -> None:
        self._owner = owner
        self._lines: OrderedDict[Owner, OrderedDict[Item, float]] = OrderedDict()  # the next owner first
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __contains__(self, item: Item) -> bool:
        return item in self._lines.get(self._owner(item), ())

    def add(self, item: Item, since: float = 0.0) -> None:
        """Adds an item behind those of its owner. One that is in the queue keeps its position and its time."""
        line = self._lines.setdefault(self._owner(item), OrderedDict())
        if item not in line:
            line[item] = since
            self._size += 1

    def take(self, may: Callable[[Item], bool] = lambda item: True) -> Item | None:
        """The next item that `may` be taken. Its owner comes last from now on."""
        found = next(((owner, item) for owner, line in self._lines.items() for item in line if may(item)), None)
        if found is None:
            return None
        owner, item = found
        self._remove(owner, item)
        if owner in self._lines:
            self._lines.move_to_end(owner)
        return item

    def discard(self, item: Item) -> bool:
        """Removes an item; returns whether it was in the queue."""
        owner = self._owner(item)
        if item not in self._lines.get(owner, ()):
            return False
        self._remove(owner, item)
        return True

    def drop(self) -> Item:
        """Removes the newest item of the owner with the most items."""
        owner = max(self._lines, key=lambda owner: len(self._lines[owner]))
        item = next(reversed(self._lines[owner]))
        self._remove(owner, item)
        return item

    def first(self, owner: Owner) -> float | None:
        """The time of the first item of an owner."""
        return next(iter(self._lines.get(owner, {}).values()), None)

    def clear(self) -> None:
        self._lines.clear()
        self._size = 0

    def oldest(self) -> float | None:
        """The earliest time of an item in the queue."""
        return min((since for line in self._lines.values() for since in line.values()), default=None)

    def _remove(self, owner: Owner, item: Item) -> None:
        del self._lines[owner][item]
        self._size -= 1
        if not self._lines[owner]:
            del self._lines[owner]


class FairMemory(Generic[Item, Value]):
    """A mapping of at most `most` entries. If it is full, the oldest entry of the owner with the most is forgotten."""

    def __init__(self, most: int, owner: Callable[[Item], Hashable]) -> None:
        self._most, self._owner = most, owner
        self._entries: dict[Hashable, OrderedDict[Item, Value]] = {}  # by owner, the oldest first
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def pop(self, item: Item) -> Value | None:
        """Removes an entry and returns it."""
        owner = self._owner(item)
        here = self._entries.get(owner)
        if here is None or item not in here:
            return None
        self._size -= 1
        found = here.pop(item)
        if not here:
            del self._entries[owner]
        return found

    def put(self, item: Item, value: Value) -> None:
        """Adds an entry as the newest one."""
        self.pop(item)
        self._entries.setdefault(self._owner(item), OrderedDict())[item] = value
        self._size += 1
        if self._size > self._most:
            largest = max(self._entries.values(), key=len)
            self.pop(next(iter(largest)))
