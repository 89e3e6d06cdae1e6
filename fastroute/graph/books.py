"""The most that one request can cost: the sum of the prices that it meets, for the worst request.

A request meets the matches of several hostnames (`a.example.com`, `*.example.com`, `*.com`, none), and for each of them
those of several paths (`/a/b`, `/a`, none) and expressions. These form trees: what is met at a point is met together
with what is above it. So the worst request is the most expensive way from the top of a tree to a leaf. Each point knows
the cost of the most expensive way below it; a change is passed upwards only as far as this changes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from fastroute.graph.price import Item

_MOST_LABELS = 16  # hostnames with more labels are counted as if they had this many

EntryKey = tuple[tuple[str, str], tuple[bool, tuple[str, ...], tuple[str, ...]]]  # node and signature of an Item


class Ways(NamedTuple):
    """Those with the same cost."""

    number: int
    last: str  # the point where the one that was added last begins, even if its cost has changed since


class Tree:
    """Costs by point."""

    def __init__(self, above: Callable[[str], str | None]) -> None:
        """`above`: the point above one, None at the top."""
        self._above = above
        self._own: dict[str, int] = {}
        self._below: dict[str, dict[int, Ways]] = {}  # by cost: the ways that begin at the points right below

    def copy(self) -> "Tree":
        tree = Tree(self._above)
        tree._own, tree._below = dict(self._own), dict(self._below)  # the inner ones are replaced, never changed
        return tree

    def cost(self, point: str = "") -> int:
        """Of the most expensive way that begins here."""
        return self._own.get(point, 0) + max(self._below.get(point, (0,)))

    def change(self, point: str, by: int) -> None:
        before = self.cost(point)
        self._own[point] = self._own.get(point, 0) + by
        if not self._own[point]:
            del self._own[point]
        after = self.cost(point)
        while before != after and (parent := self._above(point)) is not None:
            child, point, old, new = point, parent, before, after
            before = self.cost(point)
            self._below[point] = counts = dict(self._below.get(point, {}))
            if old:
                _lose(counts, old)
            if new:
                counts[new] = Ways(counts[new].number + 1 if new in counts else 1, child)
            if not counts:
                del self._below[point]
            after = self.cost(point)

    def lowest(self, point: str) -> str | None:
        """The last point with costs on one of the most expensive ways that begin here; None if it is not known."""
        while ways := self._below.get(point):
            most = max(ways)
            below = ways[most].last
            if self.cost(below) != most:
                return None
            point = below
        return point


def _lose(ways: dict[int, Ways], cost: int) -> None:
    number, last = ways[cost]
    if number > 1:
        ways[cost] = Ways(number - 1, last)
    else:
        del ways[cost]


def _count(counts: dict[int, int], cost: int, by: int) -> None:
    counts[cost] = counts.get(cost, 0) + by
    if not counts[cost]:
        del counts[cost]


def above_path(path: str) -> str | None:
    """
    >>> above_path("=/a/b"), above_path("/a/b"), above_path("/a"), above_path("")
    ('/a/b', '/a', '', None)
    """
    if not path:
        return None
    return path[1:] if path.startswith("=") else path.rpartition("/")[0]


def above_beginning(beginning: str) -> str | None:
    return beginning[:-1] if beginning else None


def hostnames_above(hostname: str) -> Iterator[str]:
    """With itself.

    >>> list(hostnames_above("a.b.c"))
    ['a.b.c', '*.b.c', '*.c', '']
    """
    at: str | None = hostname
    while at is not None:
        yield at
        at = above_hostname(at)


def above_hostname(hostname: str) -> str | None:
    """
    >>> above_hostname("a.b.c"), above_hostname("*.b.c"), above_hostname("*.c"), above_hostname("")
    ('*.b.c', '*.c', '', None)
    """
    if not hostname:
        return None
    labels = hostname.split(".")[1 + hostname.startswith("*.") :]
    return ".".join(("*", *labels[-_MOST_LABELS:])) if labels else ""


class Entry(NamedTuple):
    """The items with the same node and signature. A request meets one bucket of them."""

    look_up: int
    buckets: Mapping[int, int]  # how many of them have this cost

    @property
    def cost(self) -> int:
        return self.look_up + max(self.buckets)


class Account:
    """The items of the routes with one hostname."""

    def __init__(self) -> None:
        self._entries: dict[EntryKey, Entry] = {}
        self._buckets: dict[tuple[EntryKey, tuple[str, ...]], tuple[int, int]] = {}  # number of items, and their cost
        self._trees = {"path": Tree(above_path), "expression": Tree(above_beginning)}

    def copy(self) -> "Account":
        account = Account()
        account._entries, account._buckets = dict(self._entries), dict(self._buckets)
        account._trees = {name: tree.copy() for name, tree in self._trees.items()}
        return account

    @property
    def cost(self) -> int:
        """A request meets paths first, then expressions."""
        return sum(tree.cost() for tree in self._trees.values())

    def change(self, item: Item, by: int) -> None:
        """Enters an item (1), or removes it (-1)."""
        key = item.node, item.signature
        entry = self._entries.get(key)
        before = entry.cost if entry else 0
        counts = dict(entry.buckets) if entry else {}
        items, cost = self._buckets.get((key, item.bucket), (0, 0))
        if items:
            _count(counts, cost, -1)
        items, cost = items + by, (cost if items else item.values) + by * item.expressions
        if items:
            self._buckets[key, item.bucket] = items, cost
            _count(counts, cost, 1)
        else:
            del self._buckets[key, item.bucket]
        if counts:
            entry = self._entries[key] = Entry(item.look_up, counts)
        else:
            entry = None
            del self._entries[key]
        self._trees[item.point.tree].change(item.point.key, (entry.cost if entry else 0) - before)


class Books:
    """Changed only by its maker; then shared, and never changed again."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._mine: set[str] = set()  # the accounts that are not shared with the Books that this is a copy of
        self._hosts = Tree(above_hostname)

    def copy(self) -> "Books":
        books = Books()
        books._accounts = dict(self._accounts)
        books._hosts = self._hosts.copy()
        return books

    @property
    def cost(self) -> int:
        """Of the worst request, in nanoseconds."""
        return self._hosts.cost()

    def worst_below(self, hostname: str) -> tuple[int, str | None]:
        """The cost of the worst request that meets this hostname, and the most specific hostname that it meets; None if
        that is not known."""
        above = sum(self._accounts[name].cost for name in hostnames_above(hostname) if name in self._accounts)
        own = self._accounts[hostname].cost if hostname in self._accounts else 0
        return above - own + self._hosts.cost(hostname), self._hosts.lowest(hostname)

    def change(self, items: Iterable[Item], hostnames: Iterable[str], by: int) -> None:
        """Enters the items of a route (1), or removes them (-1)."""
        for hostname in hostnames:
            account = self._account(hostname)
            before = account.cost
            for item in items:
                account.change(item, by)
            self._hosts.change(hostname, account.cost - before)

    def _account(self, hostname: str) -> Account:
        account = self._accounts.get(hostname)
        if account is None or hostname not in self._mine:
            account = Account() if account is None else account.copy()
            self._accounts[hostname] = account
            self._mine.add(hostname)
        return account
