"""Choice: which items of a list are asked for. The dashboard asks for what it shows, so an answer is short.

A resource has some of these parameters (openapi.py); all that are given must hold.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

MOST_BACKENDS = 50  # in one question


class Choice(NamedTuple):
    search: tuple[str, ...] = ()  # words in lower case
    gateway: str = ""  # "ns/name"
    listener: str = ""  # its name in `gateway`, as answers have it
    problems: bool = False  # only items with a problem
    type: str = ""  # of a problem
    backend: tuple[str, ...] = ()  # "ns/name:port"

    def finds(self, text: Callable[[], Iterable[str]]) -> bool:
        """Whether each word is in one of the texts.

        >>> Choice(search=("a", "x")).finds(lambda: ["cab", "X"]), Choice(search=("y",)).finds(lambda: ["cab"])
        (True, False)
        """
        if not self.search:
            return True
        texts = [one.lower() for one in text()]
        return all(any(word in one for one in texts) for word in self.search)


ALL = Choice()


def words_of(text: str) -> tuple[str, ...]:
    """
    >>> words_of(" Fruits  infra ")
    ('fruits', 'infra')
    """
    return tuple(text.lower().split())
