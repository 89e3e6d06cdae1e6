"""The entries that changed last, of many namespaces."""

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Latest(Generic[Key, Value]):
    """At most `bound` entries. If there are more, the namespace with the most gives up the one that changed longest
    ago; of several with as many, the one whose entries have not changed for longest. Each change takes constant time.
    """

    def __init__(self, bound: int, owner: Callable[[Key], str]) -> None:
        """`owner`: the namespace of an entry."""
        self._bound, self._owner = bound, owner
        self._entries: dict[str, dict[Key, Value]] = {}  # by namespace; the last one has changed last
        self._sizes: dict[int, dict[str, None]] = {}  # the namespaces by their number of entries, in the same order
        self._count = self._most = 0  # of all namespaces, and of the one with the most

    def pop(self, key: Key) -> Value | None:
        """Removes an entry, if it exists."""
        owner = self._owner(key)
        entries = self._entries.get(owner, {})
        if key not in entries:
            return None
        value = entries.pop(key)
        self._resize(owner, len(entries), -1)
        return value

    def put(self, key: Key, value: Value) -> None:
        """Adds an entry, which must not exist. It is the last one to be given up."""
        owner = self._owner(key)
        entries = self._entries.setdefault(owner, {})
        entries[key] = value
        self._resize(owner, len(entries), 1)
        if self._count > self._bound:
            largest = next(iter(self._sizes[self._most]))
            self.pop(next(iter(self._entries[largest])))

    def items(self) -> Iterator[tuple[Key, Value]]:
        for entries in self._entries.values():
            yield from entries.items()

    def _resize(self, owner: str, size: int, difference: int) -> None:
        """`owner` has `size` entries now."""
        before = size - difference
        if before:
            del self._sizes[before][owner]
            if not self._sizes[before]:
                del self._sizes[before]
        if size:
            self._sizes.setdefault(size, {})[owner] = None
        else:
            del self._entries[owner]
        self._count += difference
        if size > self._most or self._most not in self._sizes:
            self._most = size
