"""listed(): some names of a list for a message. Tenants choose how many there are, and how long they are."""

from collections.abc import Callable, Collection
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def listed(names: Collection[T], most: int = 16, separator: str = ", ", write: Callable[[T], str] = str) -> str:
    """The first `most` names, and how many more there are. `write`: the text of a name, only called for those.

    >>> listed(["a", "b"]), listed(["a", "b", "c", "d"], 2)
    ('a, b', 'a, b and 2 more')
    """
    more = len(names) - most
    return separator.join(map(write, islice(names, most))) + (f" and {more} more" if more > 0 else "")
