"""Which routes fail now: responses that are errors, and parts of the requests that the gateway answers with an error.

A route without a wrong condition may fail: its backends answer with errors, or have no endpoint that is ready.
"""

from collections.abc import Iterator, Mapping, Sequence

from fastroute.explain.share import percent
from fastroute.snapshot import Filter, Redirect, Rule, Snapshot, WeightedBackend
from fastroute.view.once import Served, once
from fastroute.view.state import State
from fastroute.view.traffic import RouteName, Traffic

HIGH = 0.01  # error ratio
MOST = 10  # texts about a route

Error = tuple[int, str | None]  # status, and its reason as in the access log
NO_ENDPOINT: Error = (503, "no_endpoint")


class Failing:
    """By kind and name of a route: what fails. Routes that work are not there."""

    def __init__(self, state: State) -> None:
        self.answered: Mapping[RouteName, str] = dict(_answered(state))
        self.refused = refused_parts(state)

    def __contains__(self, name: RouteName) -> bool:
        return name in self.refused or name in self.answered

    def __len__(self) -> int:
        return len(self.refused) + sum(name not in self.refused for name in self.answered)

    def of(self, name: RouteName) -> tuple[str, ...]:
        refused = self.refused.get(name, ())
        return first_texts((self.answered[name], *refused) if name in self.answered else refused)


def first_texts(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(texts) if len(texts) <= MOST else (*texts[:MOST], f"and {len(texts) - MOST} more")


@once
def refused_parts(served: Served) -> Mapping[RouteName, tuple[str, ...]]:
    """All texts about parts that the gateway answers with an error."""
    found: dict[RouteName, dict[str, None]] = {}
    for name, text in _refused(served.snapshot):
        found.setdefault(name, {})[text] = None  # a rule may be attached to several listeners
    return {name: tuple(texts) for name, texts in found.items()}


def _answered(state: State) -> Iterator[tuple[RouteName, str]]:
    by_backend = _by_backend(state.traffic)
    for name, flow in state.traffic.routes.items():
        if flow.total and flow.failed / flow.total > HIGH:
            yield name, f"{percent(flow.failed / flow.total)} of the responses are errors{by_backend.get(name, '')}"


def _by_backend(traffic: Traffic) -> Mapping[RouteName, str]:
    """The backends of which more than HIGH of the responses are errors."""
    texts: dict[RouteName, str] = {}
    for (kind, route, rule), failed in traffic.failures.items():
        for backend in sorted(failed):
            ratio = error_ratio(failed, traffic.shares.get((kind, route, rule), {}), backend)
            if backend and ratio is not None and ratio > HIGH:
                before = texts.get((kind, route))
                text = f"{percent(ratio)} of those of {backend} (rule {rule})"
                texts[kind, route] = f"{before}, {text}" if before else f": {text}"
    return texts


def error_ratio(failed: Mapping[str, int], counts: Mapping[str, int], backend: str) -> float | None:
    """Of the part of a rule that a backend got; at most 1."""
    total = counts.get(backend, 0)
    return min(1.0, failed.get(backend, 0) / total) if total else None


def _refused(snapshot: Snapshot) -> Iterator[tuple[RouteName, str]]:
    for rule in snapshot.rules.values():
        if _is_served(snapshot, rule):
            continue
        for (status, reason), part in _parts(snapshot, rule).items():
            what = f"of the requests get {status}" if rule.matches else "is refused"
            yield (rule.route_kind, rule.route), f"rule {rule.name}: {percent(part)} {what} ({reason})"


def _is_served(snapshot: Snapshot, rule: Rule) -> bool:
    """Whether every backend gets its part: so it is with most rules, and there may be thousands."""
    for backend in rule.backends:
        if backend.status is not None or not backend.weight or not snapshot.endpoints.get(backend.backend):
            return False
    return bool(rule.backends)


def _parts(snapshot: Snapshot, rule: Rule) -> Mapping[Error, float]:
    """The part of the requests that gets each error."""
    if _redirects(rule.filters):
        return {}
    whole = sum(backend.weight for backend in rule.backends)
    if not whole:
        return {(500, "zero_weights" if rule.backends else "no_backend_refs"): 1.0}
    parts: dict[Error, float] = {}
    for backend in rule.backends:
        if backend.weight and (error := _error(snapshot, backend)) is not None:
            parts[error] = parts.get(error, 0.0) + backend.weight / whole
    return parts


def _error(snapshot: Snapshot, backend: WeightedBackend) -> Error | None:
    if backend.status is not None:
        return backend.status, backend.reason
    return None if snapshot.endpoints.get(backend.backend) or _redirects(backend.filters) else NO_ENDPOINT


def _redirects(filters: tuple[Filter, ...]) -> bool:
    return any(isinstance(one, Redirect) for one in filters)
