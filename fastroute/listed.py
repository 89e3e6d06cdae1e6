"""listed(): some names of a list for a message. Tenants choose how many there are, and how long they are."""

from collections.abc import Collection
from itertools import islice


def listed(names: Collection[str], most: int = 16, separator: str = ", ") -> str:
    """The first `most` names, and how many more there are.

    >>> listed(["a", "b"]), listed(["a", "b", "c", "d"], 2)
    ('a, b', 'a, b and 2 more')
    """
    more = len(names) - most
    return separator.join(islice(names, most)) + (f" and {more} more" if more > 0 else "")
