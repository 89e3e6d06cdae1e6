"""Pages of long lists: the items after a key, in the order of the keys. An item that appears or goes between two
requests moves no other one. A page with long items has fewer of them: encoding an answer holds the GIL.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from fastroute.view.choice import ALL, Choice

USUAL = 500  # items of a page
MOST = 1_000
MOST_ROWS = 10_000  # of a page; its last item may exceed them

Item = TypeVar("Item")


class Window(NamedTuple):
    """The part of a list that is asked for."""

    after: str = ""  # the key of the last item of the page before
    limit: int = USUAL
    choice: Choice = ALL


class Cut(NamedTuple, Generic[Item]):
    items: tuple[Item, ...]
    total: int
    next: str | None


def cut(
    keys: Iterable[str], window: Window, make: Callable[[str], Item], rows: Callable[[Item], int] = lambda item: 1
) -> Cut[Item]:
    """`make`: the item of a key; `rows`: how many parts it has. A page has at least one item.

    >>> cut(("c", "a", "b"), Window(limit=2), str.upper), cut(("c", "a", "b"), Window("b", 2), str.upper)
    (Cut(items=('A', 'B'), total=3, next='b'), Cut(items=('C',), total=3, next=None))
    """
    ordered = sorted(keys)
    start = bisect_right(ordered, window.after) if window.after else 0
    items: list[Item] = []
    whole = 0
    for key in islice(ordered, start, start + window.limit):
        items.append(make(key))
        whole += rows(items[-1])
        if whole >= MOST_ROWS:
            break
    end = start + len(items)
    return Cut(tuple(items), len(ordered), ordered[end - 1] if items and end < len(ordered) else None)
