"""Unwatched: the namespaces that --watch-namespace leaves out, as an index. Nothing in them is known."""

from collections.abc import Iterator, Mapping


class Unwatched(Mapping[str, str]):
    """By namespace: what is said about it. Its length is 0, because these namespaces cannot be listed. It does not
    change. `watched`: empty for all namespaces."""

    def __init__(self, watched: frozenset[str]) -> None:
        self._watched = watched

    def __getitem__(self, namespace: str) -> str:
        if not self._watched or namespace in self._watched:
            raise KeyError(namespace)
        return f"namespace {namespace} is not read (--watch-namespace)"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
