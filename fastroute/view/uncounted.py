"""What the workers do not count by itself: more rules are published than there are slots (supervisor/slots.py)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from fastroute.snapshot import Rule
from fastroute.view.once import Served, once
from fastroute.view.state import State
from fastroute.view.traffic import RequestLabels, RouteName


class Uncounted:
    """Routes and listeners with at least one such series. Their rates and shares are not known."""

    def __init__(self, state: State) -> None:
        self._state, self._counted = state, state.traffic.counted

    def has_route(self, name: RouteName) -> bool:
        if self._counted is None:
            return False
        return not all(self._counted.issuperset(_series(rule)) for rule in _by_route(self._state).get(name, ()))

    def has_listener(self, gateway: str, name: str) -> bool:
        if self._counted is None:
            return False
        return not self._counted >= _by_listener(self._state).get((gateway, name), frozenset())


@once
def _by_route(served: Served) -> Mapping[RouteName, list[Rule]]:
    found: defaultdict[RouteName, list[Rule]] = defaultdict(list)
    for rule in served.snapshot.rules.values():
        found[rule.route_kind, rule.route].append(rule)
    return dict(found)


@once
def _by_listener(served: Served) -> Mapping[tuple[str, str], frozenset[RequestLabels]]:
    """A set, because two sets are compared without a new hash of each of thousands of series."""
    found: defaultdict[tuple[str, str], set[RequestLabels]] = defaultdict(set)
    for listener in served.snapshot.listeners.values():
        found[listener.gateway, listener.name].add((listener.gateway, listener.name, "", "", "", ""))
    for rule in served.snapshot.rules.values():
        found[rule.gateway, rule.listener_name].update(_series(rule))
    return {name: frozenset(series) for name, series in found.items()}


def _series(rule: Rule) -> Iterator[RequestLabels]:
    for backend in ("", *(ref.label for ref in rule.backends)):
        yield rule.gateway, rule.listener_name, rule.route, rule.route_kind, rule.name, backend
