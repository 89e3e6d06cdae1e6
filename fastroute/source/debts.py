"""Debts: the namespaces whose changes took long, because many objects depend on what changed.

A change of a Gateway with thousands of routes cannot be divided: all routes must change with it. It takes some hundred
milliseconds, in which no other change is served. A single such change is served at once. But further changes of this
namespace that may be as expensive then wait FACTOR times as long as it took, so that at most one in ten changes of
other namespaces coincides with one. If several namespaces were involved, the next such change of each of them is built
alone, to find out whose it was.
"""

from collections.abc import Collection

EXPENSIVE = 0.025  # s
FACTOR = 12.0
LONGEST = 5.0  # s


class Debts:
    """Times are in seconds of any clock."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}  # of the namespaces whose last change was expensive
        self._suspects: set[str] = set()  # one of the namespaces that were involved in an expensive change

    def charge(self, spaces: Collection[str], seconds: float, now: float) -> None:
        """The changes of `spaces` took so long."""
        if seconds >= EXPENSIVE and len(spaces) > 1:
            self._suspects.update(spaces)
            return
        for space in spaces:  # one, or cheap ones
            self._suspects.discard(space)
            self._until.pop(space, None)
            if seconds >= EXPENSIVE:
                self._until[space] = now + min(FACTOR * seconds, LONGEST)

    def may(self, space: str, others: Collection[str], now: float) -> bool:
        """Whether a change of `space` may be built together with changes of `others`."""
        if now < self.until(space):
            return False
        alone = space in self._until or space in self._suspects
        return not any(
            other != space and (alone or other in self._until or other in self._suspects) for other in others
        )

    def until(self, space: str) -> float:
        """When it may change next."""
        return self._until.get(space, 0.0)
