"""What the workers do not count by itself: more rules are published than there are slots (supervisor/slots.py)."""

from collections.abc import Iterator

from fastroute.snapshot import Rule
from fastroute.view.state import State
from fastroute.view.traffic import RequestLabels


class Uncounted:
    """Routes and listeners with at least one such series. Their rates and shares are not known."""

    def __init__(self, state: State) -> None:
        self.routes: set[tuple[str, str]] = set()  # kind, "ns/name"
        self.listeners: set[tuple[str, str]] = set()  # Gateway, name
        if (counted := state.traffic.counted) is None:
            return
        for listener in state.snapshot.listeners.values():
            if (listener.gateway, listener.name, "", "", "", "") not in counted:
                self.listeners.add((listener.gateway, listener.name))
        for rule in state.snapshot.rules.values():
            if not counted.issuperset(_series(rule)):
                self.routes.add((rule.route_kind, rule.route))
                self.listeners.add((rule.gateway, rule.listener_name))


def _series(rule: Rule) -> Iterator[RequestLabels]:
    for backend in ("", *(ref.label for ref in rule.backends)):
        yield rule.gateway, rule.listener_name, rule.route, rule.route_kind, rule.name, backend
