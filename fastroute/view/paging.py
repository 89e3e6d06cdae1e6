"""Pages of long lists: the items after a key, in the order of the keys. An item that appears or goes between two
requests moves no other one."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

USUAL = 500  # items of a page
MOST = 1_000


class Window(NamedTuple):
    """The part of a list that is asked for."""

    after: str = ""  # the key of the last item of the page before
    limit: int = USUAL


class Cut(NamedTuple):
    keys: Sequence[str]
    total: int
    next: str | None


def cut(keys: Iterable[str], window: Window) -> Cut:
    """
    >>> cut(("c", "a", "b"), Window(limit=2)), cut(("c", "a", "b"), Window("b", 2))
    (Cut(keys=['a', 'b'], total=3, next='b'), Cut(keys=['c'], total=3, next=None))
    """
    ordered = sorted(keys)
    start = bisect_right(ordered, window.after) if window.after else 0
    found = ordered[start : start + window.limit]
    more = start + len(found) < len(ordered)
    return Cut(found, len(ordered), found[-1] if more else None)
