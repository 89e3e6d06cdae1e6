"""Texts for messages: tenants choose how many names a list has, and how long a text is."""

from collections.abc import Callable, Collection
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
LONGEST = 1_000  # characters of a list
LONGEST_TEXT = 256


def listed(names: Collection[T], most: int = 16, separator: str = ", ", write: Callable[[T], str] = str) -> str:
    """The first names, at most `most` and at most LONGEST characters, but at least one; then how many more there are.
    `write` makes the text of a name; it is called only for those.

    >>> listed(["a", "b"]), listed(["a", "b", "c", "d"], 2)
    ('a, b', 'a, b and 2 more')
    """
    shown: list[str] = []
    length = 0
    for name in map(write, islice(names, most)):
        length += len(name)
        if shown and length > LONGEST:
            break
        shown.append(name)
    more = len(names) - len(shown)
    return separator.join(shown) + (f" and {more} more" if more else "")


def shortened(text: str) -> str:
    """The text, cut to LONGEST_TEXT: for texts whose length is not checked."""
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
