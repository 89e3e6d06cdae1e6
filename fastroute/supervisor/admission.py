"""Which series of a family are exposed separately. The counts of the others are added to `other`."""

from collections import Counter
from collections.abc import Callable
from operator import itemgetter
from typing import Generic, TypeVar

Cell = TypeVar("Cell")


class Admission(Generic[Cell]):
    """The series of a family that are exposed separately: the first ones that counted something, up to a bound.

    A further series gets the place of another one if its namespace has fewer than the namespace with the most. From
    then on, the other one counts as `other`, for ever.
    """

    def __init__(self, bound: int, owner: Callable[[Cell], str]) -> None:
        self._bound, self._owner = bound, owner
        self._admitted: dict[Cell, str] = {}  # with the owners
        self._shares: Counter[str] = Counter()
        self._displaced: set[Cell] = set()
        self._largest: tuple[str, int] | None = None  # the namespace with the most; None: not known

    def __call__(self, cell: Cell) -> bool:
        """Whether `cell`, which has counted something, is exposed separately."""
        if cell not in self._admitted and cell not in self._displaced:
            owner = self._owner(cell)
            if len(self._admitted) < self._bound or self._make_room(owner):
                self._admitted[cell] = owner
                self._shares[owner] += 1
                self._largest = None
        return cell in self._admitted

    def expel(self, cell: Cell) -> bool:
        """Removes the series of `cell`; returns whether it was exposed."""
        self._displaced.discard(cell)
        owner = self._admitted.pop(cell, None)
        if owner is None:
            return False
        self._largest = None
        self._shares[owner] -= 1
        if not self._shares[owner]:
            del self._shares[owner]
        return True

    def _make_room(self, owner: str) -> bool:
        if self._largest is None:
            self._largest = max(self._shares.items(), key=itemgetter(1), default=("", 0))
        largest, most = self._largest
        if self._shares.get(owner, 0) + 1 >= most:
            return False
        cell = next(cell for cell in reversed(self._admitted) if self._admitted[cell] == largest)
        self.expel(cell)
        self._displaced.add(cell)
        return True
