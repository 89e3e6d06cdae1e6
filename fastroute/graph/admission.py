"""Which routes a listener can serve without one request costing too much, the oldest routes first.

One request must try the conditions of all matches with its hostname and path, until one accepts it. Tenants share
listeners, so the sum is limited (price.py, books.py): for the routes of one namespace on a listener, and for all of its
routes. A route that would exceed a limit is not attached. Older routes are never affected by younger ones, nor other
namespaces by one namespace, unless several of them together exceed the limit of the listener.

A route whose matches have only paths costs nothing, and is never refused.

If nothing is refused, the cost of a change depends on the size of the change; if something is, too, for most changes.
What is added and fits beside everything that is accepted refuses nothing else. What leaves makes room, but only for
requests that meet its hostnames. So each refused route has the most specific hostname of a request for which it would
be too expensive: while the routes of the hostnames that this request meets do not become cheaper, the route stays
refused. All other changes judge all routes again; such a pass takes long, and is charged to the namespace of the
changed route.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from math import inf
from typing import NamedTuple

import msgspec

from fastroute.difference import changed_keys, replaced
from fastroute.graph.age import Age
from fastroute.graph.books import Account, Books, hostnames_above
from fastroute.graph.node import RouteId
from fastroute.graph.price import Item

MOST_PER_LISTENER = 1_600_000  # nanoseconds
MOST_PER_NAMESPACE = 400_000
# Matches with conditions of a namespace on a listener, once per hostname: to judge all of them takes 50 ms.
MOST_ENTRIES = 10_000
_FEW = 200  # bids that are compared to find out whether a change makes room


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


class Refused(NamedTuple):
    """Why a bid is refused."""

    limit: Refusal
    hostname: str | None = None  # the most specific one of a request for which it is too expensive; None: not known


class Share(NamedTuple):
    """What has a common limit: the bids of one namespace, or of a listener."""

    bids: Mapping[RouteId, Bid] = {}
    price: int = 0  # of all of them
    entries: int = 0
    books: Books | None = None  # of those that fit; None: all fit, because `price` is within the limit
    youngest: tuple[Age, RouteId] | None = None  # no bid in `books` is younger
    refused: Mapping[RouteId, Refused] = {}
    blocked: Mapping[str | None, int] = {}  # how many of them need room at a hostname; None: it is not known where


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
        for id_ in own.keys() | changed_keys(old.refused, new.refused):
            refused = new.refused.get(id_)
            fitting[id_] = None if refused else new.bids.get(id_)
            refusals[id_] = refused.limit if refused else None
    total = _judge(ledger.total, fitting, Refusal.LISTENER)
    for id_ in fitting.keys() | changed_keys(ledger.total.refused, total.refused):
        if id_ in total.refused:
            refusals[id_] = Refusal.LISTENER
        else:
            refusals.setdefault(id_, None)
    return Ledger(replaced(ledger.namespaces, shares), total, replaced(ledger.refusals, refusals))


def _judge(share: Share, changes: Mapping[RouteId, Bid | None], limit: Refusal, most: float = inf) -> Share:
    bids = replaced(share.bids, changes)
    leaving = [share.bids[id_] for id_ in changes if id_ in share.bids]
    coming = [bid for bid in changes.values() if bid is not None]
    price = share.price + sum(bid.price for bid in coming) - sum(bid.price for bid in leaving)
    entries = share.entries + sum(bid.entries for bid in coming) - sum(bid.entries for bid in leaving)
    if price <= limit.value and entries <= most:
        return Share(bids, price, entries)
    new = Share(bids, price, entries)
    if share.books is not None and max(entries, share.entries) <= most:
        edited = _edited(share, changes, new, limit)
        if edited is not None:
            return edited
    return _judged(new, limit, most)


def _edited(share: Share, changes: Mapping[RouteId, Bid | None], new: Share, limit: Refusal) -> Share | None:
    """`new` with the changes judged; None if they may affect other bids."""
    assert share.books is not None
    books, youngest = share.books.copy(), share.youngest
    refused: dict[RouteId, Refused | None] = {}
    for id_ in changes.keys() & share.bids.keys():
        if id_ in share.refused:
            refused[id_] = None
        elif None in share.blocked or _makes_room(share, changes, share.bids[id_].hostnames):
            return None
        else:
            share.bids[id_].leave(books)
    coming = {id_: bid for id_, bid in changes.items() if bid is not None}
    for id_, bid in sorted(coming.items(), key=_rank):
        is_last = youngest is None or (bid.age, id_) > youngest
        if found := _enter(bid, books, limit):
            if not is_last:
                return None
            refused[id_] = found
        elif is_last:
            youngest = bid.age, id_
    after = replaced(share.refused, refused)
    return new._replace(books=books, youngest=youngest, refused=after, blocked=_block(share, refused))


def _makes_room(share: Share, changes: Mapping[RouteId, Bid | None], hostnames: Iterable[str]) -> bool:
    """Whether the accepted bids of a hostname where others need room may cost less than before, for a bid of any
    age."""
    for hostname in share.blocked.keys() & hostnames:
        before = {id_: bid for id_, bid in share.bids.items() if hostname in bid.hostnames and id_ not in share.refused}
        if len(before) > _FEW:
            return True
        after = {id_: changes.get(id_, bid) for id_, bid in before.items()}
        here = [(id_, bid) for id_, bid in after.items() if bid is not None and hostname in bid.hostnames]
        steps = sorted([(*_rank(pair), 0) for pair in here] + [(*_rank(pair), 1) for pair in before.items()])
        cost = Account(), Account()
        for _, id_, is_before in steps:
            bid = before[id_] if is_before else after[id_]
            assert bid is not None
            for item in bid.items:
                cost[is_before].change(item, 1)
            if is_before and cost[0].cost < cost[1].cost:
                return True
    return False


def _judged(new: Share, limit: Refusal, most: float) -> Share:
    """`new` with all bids judged, the oldest first."""
    books, youngest = Books(), None
    refused: dict[RouteId, Refused] = {}
    judged = 0
    for id_, bid in sorted(new.bids.items(), key=_rank):
        judged += bid.entries
        if judged > most:
            refused[id_] = Refused(Refusal.ENTRIES)
        elif found := _enter(bid, books, limit):
            refused[id_] = found
        else:
            youngest = bid.age, id_
    return new._replace(books=books, youngest=youngest, refused=refused, blocked=_block(Share(), refused))


def _rank(pair: tuple[RouteId, Bid]) -> tuple[Age, RouteId]:
    """The smallest is judged first."""
    return pair[1].age, pair[0]


def _enter(bid: Bid, books: Books, limit: Refusal) -> Refused | None:
    """Enters a bid; if it does not fit, tells why."""
    bid.enter(books)
    if books.cost <= limit.value:
        return None
    worst = (books.worst_below(hostname) for hostname in bid.hostnames)
    hostname = next((hostname for cost, hostname in worst if cost > limit.value), None)
    bid.leave(books)
    return Refused(limit, hostname)


def _block(share: Share, refused: Mapping[RouteId, Refused | None]) -> Mapping[str | None, int]:
    """`blocked` after changes of what is refused; None: not any more."""
    if not refused:
        return share.blocked
    blocked = dict(share.blocked)
    for id_, new in refused.items():
        for one, by in ((share.refused.get(id_), -1), (new, 1)):
            for name in _met(one) if one else ():
                blocked[name] = blocked.get(name, 0) + by
                if not blocked[name]:
                    del blocked[name]
    return blocked


def _met(refused: Refused) -> Iterable[str | None]:
    """The hostnames that the request meets for which a bid is too expensive."""
    return (None,) if refused.hostname is None else hostnames_above(refused.hostname)
