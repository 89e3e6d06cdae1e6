"""Unread: the ConfigMaps that objects in the Store name but that are not read yet.

No status may say that such a ConfigMap does not exist. So until it is read, or until no object names it any more, the
Store has a ConfigMap without data, which says why it has none.
"""

from collections.abc import Callable, Iterable, Set

from fastroute.resources.core import ConfigMap
from fastroute.resources.meta import Key, Metadata
from fastroute.source.store import Apply, Delete

OMISSION = "is not read yet"  # text that follows the name of the object


class Unread:
    """`is_known`: whether a ConfigMap is read, or the Store has something else in its place."""

    def __init__(self, is_known: Callable[[Key], bool]) -> None:
        self._is_known = is_known
        self.keys: set[Key] = set()

    def expect(self, named: Iterable[Key]) -> list[Apply]:
        """These are named from now on. Returns what the Store lacks."""
        new = [key for key in named if key not in self.keys and not self._is_known(key)]
        self.keys.update(new)
        return [Apply(_without_data(key)) for key in new]

    def note_read(self, key: Key) -> list[Delete]:
        """Returns the deletion of the placeholder. The caller applies what is known about the ConfigMap instead."""
        return self._drop({key})

    def renew(self, named: Set[Key]) -> list[Apply | Delete]:
        """Only these are named."""
        return [*self._drop(self.keys - named), *self.expect(named)]

    def _drop(self, keys: Set[Key]) -> list[Delete]:
        gone = self.keys & keys
        self.keys -= gone
        return [Delete(ConfigMap, key) for key in gone]


def _without_data(key: Key) -> ConfigMap:
    metadata = Metadata(name=key.name, namespace=key.namespace)
    return ConfigMap(metadata=metadata, api_version="v1", omission=OMISSION)
