"""The counts of a family of counters: those that have series of their own, and `other`."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

from fastroute.supervisor.admission import Admission

Cell = TypeVar("Cell", bound=Hashable)
Amount = TypeVar("Amount")


class Exposed(Generic[Cell, Amount]):
    """Divides the counts of the cells between the admitted series and `other`, so that no counter ever decreases.

    What a cell has counted as `other` stays there. If the cell gets a series of its own later, that series starts at
    zero.
    """

    def __init__(
        self,
        admission: Admission[Cell],
        add: Callable[[Amount, Amount], Amount],
        subtract: Callable[[Amount, Amount], Amount],
    ) -> None:
        self._admission, self._add, self._subtract = admission, add, subtract
        self._other: dict[Cell, Amount] = {}  # what each cell has counted as `other`

    def divide(self, sums: Mapping[Cell, Amount]) -> tuple[dict[Cell, Amount], Iterable[tuple[Cell, Amount]]]:
        """The counts of the series, and the parts of `other`. `sums`: all that each cell has counted."""
        for cell in sums:
            self._admission(cell)
        named = dict[Cell, Amount]()
        for cell, count in sums.items():
            if not self._admission(cell):
                self._other[cell] = count
            elif (before := self._other.get(cell)) is None:
                named[cell] = count
            else:
                named[cell] = self._subtract(count, before)
        return named, self._other.items()

    def end(self, cell: Cell, count: Amount) -> Amount | None:
        """Ends a cell that has counted `count`. Returns the part of it that stays in `other`; None: nothing."""
        other = self._other.pop(cell, None)
        return other if self._admission.expel(cell) else count
