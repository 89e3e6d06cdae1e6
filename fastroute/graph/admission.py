"""Which routes a listener can serve without one request costing too much, the oldest routes first.

One request must try the conditions of all matches with its hostname and path, until one accepts it. Tenants share
listeners, so the sum is limited (price.py, books.py): for the routes of one namespace on a listener, and for all of its
routes. A route that would exceed a limit is not attached. Older routes are never affected by younger ones, nor other
namespaces by one namespace, unless several of them together exceed the limit of the listener.

A route whose matches have only paths costs nothing, and is never refused.
"""

from collections.abc import Mapping
from enum import Enum
from math import inf
from typing import NamedTuple

import msgspec

from fastroute.difference import replaced
from fastroute.graph.age import Age
from fastroute.graph.books import Books
from fastroute.graph.node import RouteId
from fastroute.graph.price import Item

MOST_PER_LISTENER = 1_600_000  # nanoseconds
MOST_PER_NAMESPACE = 400_000
# Matches with conditions of a namespace on a listener, once per hostname: to judge all of them takes 50 ms.
MOST_ENTRIES = 10_000


class Bid(NamedTuple):
    """What a route would add to a listener."""

    age: Age
    items: tuple[Item, ...]  # not empty
    hostnames: tuple[str, ...]

    @property
    def entries(self) -> int:
        return len(self.hostnames) * len(self.items)

    @property
    def price(self) -> int:
        """The sum of its items, as if one request could meet all of them."""
        return len(self.hostnames) * sum(item.look_up + item.values + item.expressions for item in self.items)

    def enter(self, books: Books) -> None:
        books.change(self.items, self.hostnames, 1)

    def leave(self, books: Books) -> None:
        books.change(self.items, self.hostnames, -1)


class Refusal(Enum):
    """The limit that a route would exceed."""

    NAMESPACE = MOST_PER_NAMESPACE
    LISTENER = MOST_PER_LISTENER
    ENTRIES = MOST_ENTRIES


class Share(NamedTuple):
    """What has a common limit: the bids of one namespace, or of a listener."""

    bids: Mapping[RouteId, Bid] = {}
    price: int = 0  # of all of them
    entries: int = 0
    books: Books | None = None  # of those that fit; None: all fit, because `price` is within the limit
    refused: Mapping[RouteId, Refusal] = {}


class Ledger(msgspec.Struct, frozen=True, eq=False):
    """The state of one listener."""

    namespaces: Mapping[str, Share] = {}
    total: Share = Share()  # of the bids that fit into the shares of their namespaces
    refusals: Mapping[RouteId, Refusal] = {}


NOTHING = Ledger()


def admit(ledger: Ledger, changes: Mapping[RouteId, Bid | None]) -> Ledger:
    """The ledger after changes of bids; None: the route makes none."""
    shares: dict[str, Share | None] = {}
    fitting: dict[RouteId, Bid | None] = {}  # changes of what fits into the shares of the namespaces
    refusals: dict[RouteId, Refusal | None] = {}
    for name in {id_[1].namespace for id_ in changes}:
        own = {id_: bid for id_, bid in changes.items() if id_[1].namespace == name}
        old = ledger.namespaces.get(name, Share())
        new = _judge(old, own, Refusal.NAMESPACE, MOST_ENTRIES)
        shares[name] = new if new.bids else None
        for id_ in own.keys() | old.refused.keys() | new.refused.keys():
            fitting[id_] = None if id_ in new.refused else new.bids.get(id_)
            refusals[id_] = new.refused.get(id_)
    total = _judge(ledger.total, fitting, Refusal.LISTENER)
    refusals |= dict.fromkeys(ledger.total.refused.keys() - total.refused.keys() - refusals.keys(), None)
    refusals |= total.refused
    return Ledger(replaced(ledger.namespaces, shares), total, replaced(ledger.refusals, refusals))


def _judge(share: Share, changes: Mapping[RouteId, Bid | None], limit: Refusal, most: float = inf) -> Share:
    """Where everything fits, the cost of a change depends on the size of the change."""
    bids = replaced(share.bids, changes)
    leaving = [share.bids[id_] for id_ in changes if id_ in share.bids]
    coming = [bid for bid in changes.values() if bid is not None]
    price = share.price + sum(bid.price for bid in coming) - sum(bid.price for bid in leaving)
    entries = share.entries + sum(bid.entries for bid in coming) - sum(bid.entries for bid in leaving)
    if price <= limit.value and entries <= most:
        return Share(bids, price, entries)
    if share.books is not None and not share.refused and entries <= most:
        books = share.books.copy()
        for bid in leaving:
            bid.leave(books)
        for bid in coming:
            bid.enter(books)
        if books.cost <= limit.value:
            return Share(bids, price, entries, books)
    books = Books()
    refused: dict[RouteId, Refusal] = {}
    judged = 0
    for id_, bid in sorted(bids.items(), key=lambda pair: pair[1].age):
        judged += bid.entries
        if judged > most:
            refused[id_] = Refusal.ENTRIES
            continue
        bid.enter(books)
        if books.cost > limit.value:
            bid.leave(books)
            refused[id_] = limit
    return Share(bids, price, entries, books, refused)
