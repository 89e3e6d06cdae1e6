"""The text output of `fastroute status`: what a running gateway does, as blocks of text.py.

What needs attention comes first in each table and is red or yellow. A long table is cut; JSON has everything.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from fastroute.text import Block, Line, Table, Yaml
from fastroute.view.answers import (
    Backend,
    BackendShare,
    Certificate,
    Condition,
    EndpointState,
    Gateway,
    Listener,
    Overview,
    RefusedReference,
    Route,
    Status,
    Worker,
)
from fastroute.view.endpoints import GONE
from fastroute.view.referring import REFUSED

MOST = 50  # rows of a table
NEGATIVE = {"Conflicted"}  # types of conditions for which True is bad

Row = tuple[bool, str, tuple[str, ...]]  # whether it needs attention, its style, its cells
Item = TypeVar("Item")


def overview_page(found: Overview) -> Iterator[Block]:
    yield from _summary(found.status)
    yield from _failing(found.routes)
    invalid = [one for one in found.certificates if one.state != "valid"]
    if invalid:
        texts = ", ".join(f"{one.secret} {one.state}" for one in invalid)
        yield Line(f"certificates that clients refuse: {texts}", "red")
    yield _workers(found.status)
    yield from _table(
        ("GATEWAY", "LISTENER", "PROTOCOL", "BOUND AT", "HOSTNAME", "ROUTES", "RATE", "STATE"),
        [_listener(gateway, listener, invalid) for gateway in found.gateways for listener in gateway.listeners],
    )
    yield from _table(
        ("ROUTE", "RATE", "ERRORS", "P50", "P90", "P99", "SHARES: WANTED (SEEN)"),
        [_route(route) for route in sorted(found.routes, key=lambda one: -(one.rate or 0.0))],
    )
    yield from _table(("BACKEND", "PROTOCOL", "USED", "ENDPOINTS"), list(map(_backend, found.endpoints)))
    yield from _table(
        ("CERTIFICATE", "STATE", "UNTIL", "USED BY", "NAMES"), list(map(_certificate, found.certificates))
    )
    yield from _faults(found.routes)
    yield from _refused(found)


def _summary(status: Status) -> Iterator[Block]:
    version = f"version {status.version}"
    if status.version != status.target:
        version += f" (version {status.target} was sent, and not every worker serves it)"
    state = "ready" if status.ready else "not ready"
    style = "bold" if status.ready and status.version == status.target else "bold yellow"
    yield Line(f"fastroute {status.fastroute}: {state}, {version}, at {status.time}", style)
    counts = (
        (status.gateways, "Gateway"),
        (status.listeners, "listener"),
        (status.routes, "route"),
        (status.backends, "backend"),
        (status.certificates, "certificate"),
    )
    text = ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
    if status.window_seconds:
        text += f"; {_number(status.rate)} requests/s in the last {status.window_seconds:.0f} s"
    yield Line(text)
    if status.problems:
        refused = f" (refused references: {status.refused_references})" if status.refused_references else ""
        yield Line(f"problems: {status.problems}{refused}; `fastroute check` lists them, and warnings", "red")


def _failing(routes: Iterable[Route]) -> Iterator[Block]:
    texts = [f"{one.kind} {one.name} fails: {'; '.join(one.failing)}" for one in routes if one.failing]
    yield from (Line(text, "red") for text in texts[:MOST])
    yield from _more(len(texts), "routes that fail")


def _workers(status: Status) -> Table:
    headings = ("WORKER", "PID", "STATE", "VERSION", "CPU", "MEMORY", "LONGEST TURN", "CLIENTS", "BACKENDS")
    rows = tuple(map(_worker, status.workers))
    styles = tuple("" if one.state == "serving" else "yellow" for one in status.workers)
    absent = status.workers_wanted - len(rows)
    if absent > 0:
        rows += ((f"{absent} missing", *("",) * (len(headings) - 1)),)
        styles += ("red",)
    return Table(headings, rows, styles)


def _worker(one: Worker) -> tuple[str, ...]:
    return (
        str(one.slot),
        str(one.pid),
        one.state,
        str(one.version),
        f"{one.cpu_seconds:.1f} s",
        f"{one.memory_bytes / 1048576:.1f} MiB",
        _seconds(one.worst_turn_seconds),
        str(one.client_connections),
        str(one.backend_connections),
    )


def _listener(gateway: Gateway, one: Listener, invalid: Iterable[Certificate]) -> Row:
    bad = [*_bad(one.conditions), *(f"{bind.address}: {bind.error}" for bind in one.binds if bind.error)]
    own = f"{gateway.name}/{one.name}"
    bad += [f"certificate {each.secret} {each.state}" for each in invalid if own in each.used_by]
    bound = ", ".join(bind.address for bind in one.binds if not bind.error) or "-"
    cells = (
        gateway.name,
        one.name,
        f"{one.protocol} {one.port}",
        bound,
        one.hostname or "any",
        str(one.routes),
        _rate(one.rate),
        "; ".join(bad) or "fine",
    )
    return bool(bad), "red" if bad else "", cells


def _route(one: Route) -> Row:
    bad = list(dict.fromkeys(text for parent in one.parents for text in _bad(parent.conditions)))
    rules = [f"{rule.name}: {', '.join(map(_share, rule.backends)) or 'no backend'}" for rule in one.rules]
    unused = [rule.name for rule in one.rules if all(share.seen is None for share in rule.backends)]
    rules += [f"no request so far: {', '.join(unused)}"] if one.rate and unused else []
    failing = bool(one.error_ratio)
    latency = [one.latency.p50, one.latency.p90, one.latency.p99] if one.latency else [None] * 3
    cells = (
        f"{one.kind} {one.name}",
        _rate(one.rate),
        "-" if one.error_ratio is None else f"{one.error_ratio:.2%}",
        *("-" if value is None else _seconds(value) for value in latency),
        "; ".join((*bad, *rules)),
    )
    return bool(bad) or failing, "red" if bad or one.failing else "yellow" if failing else "", cells


def _share(one: BackendShare) -> str:
    seen = "-" if one.seen is None else f"{one.seen:.1%}"
    errors = f" errors {one.error_ratio:.1%}" if one.error_ratio else ""
    return f"{one.backend} {one.wanted:.1%} ({seen}){errors}" + (f" {one.reason}" if one.reason else "")


def _backend(one: Backend) -> Row:
    used = sum(endpoint.used for endpoint in one.endpoints)
    others = [f"{each.address} {each.state}" for each in one.endpoints if not each.used and each.state != GONE]
    worst = _worst(one.endpoints)
    failing = [_failures(endpoint) for endpoint in worst]
    shown = [endpoint.address for endpoint in one.endpoints if endpoint.used and endpoint not in worst]
    protocol = one.protocol + (f", TLS by {one.tls_policy}" if one.tls_policy else "")
    total = one.endpoints_total - sum(each.state == GONE for each in one.endpoints)
    texts = (*_first(failing), *_first(shown), *(f"not used: {text}" for text in _first(others)), *one.messages)
    attention = not used or bool(one.messages or failing)
    style = "red" if not used else "yellow" if attention else ""
    return attention, style, (one.backend, protocol, f"{used} of {total}", ", ".join(texts) or "none")


def _worst(endpoints: Iterable[EndpointState]) -> list[EndpointState]:
    """Those that failed in the last minute, the one with the most failures first; and those that are avoided."""
    failing = [one for one in endpoints if one.recent_failures or one.avoided]
    return sorted(failing, key=lambda one: -one.recent_failures)


def _failures(one: EndpointState) -> str:
    reasons = sorted(one.failure_reasons.items(), key=lambda item: -item[1])
    since = f" (so far: {', '.join(f'{reason} {count}' for reason, count in reasons)})" if reasons else ""
    times = "once" if one.recent_failures == 1 else f"{one.recent_failures} times"
    failed = f"FAILED {times} in the last minute" if one.recent_failures else ""
    now = ", ".join(filter(None, (failed, "avoided" if one.avoided else "")))
    return f"{one.address} {now}{since}"


def _certificate(one: Certificate) -> Row:
    bad = one.state != "valid"
    until = one.not_after.replace("T", " ").replace("Z", " UTC") if one.not_after else "-"
    texts = (*_first(one.names), *((one.message,) if one.message else ()))
    cells = (one.secret, one.state, until, ", ".join(_first(one.used_by)) or "-", ", ".join(texts))
    return bad, "red" if bad else "", cells


def _faults(routes: Iterable[Route]) -> Iterator[Block]:
    """Why routes have conditions that are not as they should be, apart from refused references."""
    texts = [
        f"{route.kind} {route.name}: {one.message}"
        for route in routes
        for parent in route.parents
        for one in parent.conditions
        if _is_bad(one) and one.reason != REFUSED
    ]
    texts = list(dict.fromkeys(texts))
    yield from (Line(text, "red") for text in texts[:MOST])
    yield from _more(len(texts), "messages")


def _refused(found: Overview) -> Iterator[Block]:
    """Each with the grant that is missing. A grant that several references lack is shown once."""
    references: list[RefusedReference] = [one for gateway in found.gateways for one in gateway.refused]
    references += [one for route in found.routes for one in route.refused]
    shown: set[str | None] = set()
    for one in references[:MOST]:
        yield Line(f"{one.kind} {one.object}: {one.message}", "red")
        if one.fix is not None and one.fix not in shown:
            shown.add(one.fix)
            yield Yaml(one.fix)
    yield from _more(len(references), "refused references")


def _table(headings: tuple[str, ...], rows: list[Row]) -> Iterator[Block]:
    """Without rows, nothing."""
    rows.sort(key=lambda row: not row[0])
    first = rows[:MOST]
    if first:
        yield Table(headings, tuple(cells for _, _, cells in first), tuple(style for _, style, _ in first))
        yield from _more(len(rows), "rows")


def _more(count: int, noun: str) -> Iterator[Block]:
    if count > MOST:
        yield Line(f"and {count - MOST} more {noun}: -o json has all")


def _first(items: Sequence[Item], most: int = 5) -> Sequence[Item | str]:
    return items if len(items) <= most else [*items[:most], f"and {len(items) - most} more"]


def _bad(conditions: Iterable[Condition]) -> list[str]:
    return [f"{one.type}={one.status} ({one.reason})" for one in conditions if _is_bad(one)]


def _is_bad(one: Condition) -> bool:
    return (one.status == "True") is (one.type in NEGATIVE)


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{_number(rate)}/s"


def _number(value: float) -> str:
    """
    >>> _number(0), _number(0.034), _number(3.14159), _number(12345.6)
    ('0', '0.03', '3.1', '12,346')
    """
    if not value:
        return "0"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _seconds(value: float) -> str:
    """
    >>> _seconds(0.00012), _seconds(0.0123), _seconds(2.5)
    ('0.12 ms', '12.3 ms', '2.50 s')
    """
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1000:.2f} ms" if value < 0.001 else f"{value * 1000:.1f} ms"
