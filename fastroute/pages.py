"""The text output of `check` and `explain`, as blocks of text.py.

check: a table of conditions, then each problem with its position and the YAML that fixes it, then warnings. explain:
the decision, its filters and shares, then the rules that nearly matched, with reasons.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from fastroute.check import Report, Said
from fastroute.explain.considered import Considered
from fastroute.explain.explanation import Explanation
from fastroute.explain.share import Share, percent, refused_parts, refuses
from fastroute.graph.entries import entries_by_object, full_conditions, named_parents
from fastroute.text import Block, Line, Table, Yaml

_STATUS_STYLES = {"True": "", "False": "red"}
_NEGATIVE = {"Conflicted"}  # types of conditions for which True is bad


# --- check


def check_page(report: Report) -> Iterator[Block]:
    if report.objects:
        yield _conditions(report.objects)
    yield from _wrong(report)
    if report.assumed:
        yield Line(report.assumed)
    yield _verdict(report)


def summary_page(report: Report) -> Iterator[Block]:
    """One line per Gateway, then problems and warnings."""
    for document in report.objects:
        if document["kind"] == "Gateway":
            yield _gateway_line(document, report.objects)
    yield from _wrong(report)
    yield _verdict(report)


def _gateway_line(gateway: dict[str, Any], objects: Iterable[dict[str, Any]]) -> Line:
    """The bad conditions of the Gateway and of its listeners, and the number of routes that refer to it."""
    bad = list(dict.fromkeys(map(_condition, filter(_is_bad, _all_conditions(gateway)))))
    routes = [any(map(_is_bad, found)) for route in objects if (found := _conditions_at(gateway, route))]
    counts = f"{_counted(len(gateway['status'].get('listeners', [])), 'listener')}, {_counted(len(routes), 'route')}"
    counts += f" ({sum(routes)} with problems)" if any(routes) else ""
    return Line(f"{_object_name(gateway)}: {', '.join(bad) or 'fine'}; {counts}", "red" if bad else "")


def _conditions_at(gateway: dict[str, Any], route: dict[str, Any]) -> list[dict[str, Any]]:
    """The conditions of a route for its parents that are `gateway`."""
    home = route["metadata"].get("namespace")
    wanted = gateway["metadata"]["namespace"], gateway["metadata"]["name"]
    found: list[dict[str, Any]] = []
    for parent in named_parents(route["status"]):
        ref = parent["parentRef"]
        if ref.get("kind", "Gateway") == "Gateway" and (ref.get("namespace", home), ref["name"]) == wanted:
            found += full_conditions(parent)
    return found


def _condition(entry: dict[str, Any]) -> str:
    return f"{entry['type']}={entry['status']} ({entry['reason']})"


def _is_bad(entry: dict[str, Any]) -> bool:
    return (entry["status"] == "True") is (entry["type"] in _NEGATIVE)


def _all_conditions(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for _, conditions in _conditioned(document):
        yield from conditions


def _wrong(report: Report) -> Iterator[Block]:
    for problem in report.problems:
        yield Line(_said(problem), "red")
        if problem.fix is not None:
            yield Yaml(problem.fix)
    for warning in report.warnings:
        yield Line(f"warning: {_said(warning)}" + (f" [{warning.reason}]" if warning.reason else ""), "yellow")
        if warning.fix is not None:
            yield Yaml(warning.fix)


def _verdict(report: Report) -> Line:
    counts = ((len(report.objects), "object"), (len(report.problems), "problem"), (len(report.warnings), "warning"))
    return Line(", ".join(_counted(count, noun) for count, noun in counts), "bold")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _said(said: Said) -> str:
    """Position, object and field, then the message. The field is omitted if the message begins with it."""
    where = ":".join(str(part) for part in (said.file, said.line) if part is not None)
    field = None if said.field is None or said.message.startswith(said.field) else said.field
    return ": ".join(str(part) for part in (where or None, said.object, field, said.message) if part is not None)


def _conditions(objects: Iterable[dict[str, Any]]) -> Table:
    rows = []
    styles = []
    for document in objects:
        for name, conditions in _conditioned(document):
            for entry in conditions:
                rows.append((name, f"{entry['type']}={entry['status']}", entry["reason"], entry["message"]))
                styles.append("red" if _is_bad(entry) else "")
    return Table(("OBJECT", "CONDITION", "REASON", "MESSAGE"), tuple(rows), tuple(styles))


def _conditioned(document: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """All parts of an object that have conditions, with a name for each."""
    status = document["status"]
    metadata = document["metadata"]
    name = _object_name(document)
    yield name, full_conditions(status)
    for listener in status.get("listeners", []):
        routes = _counted(listener["attachedRoutes"], "route")
        yield f"{name} listener {listener['name']} ({routes})", full_conditions(listener)
    for ref, entry in entries_by_object(status):
        yield f"{name} at {_parent(ref, metadata)}", full_conditions(entry)


def _object_name(document: dict[str, Any]) -> str:
    metadata = document["metadata"]
    return f"{document['kind']} " + "/".join(metadata[part] for part in ("namespace", "name") if part in metadata)


def _parent(ref: dict[str, Any], metadata: dict[str, Any]) -> str:
    narrowed = ref.get("sectionName") or ref.get("port")
    name = f"{ref.get('namespace', metadata.get('namespace', ''))}/{ref['name']}"
    return f"{name}:{narrowed}" if narrowed else name


# --- explain


CLIENT_CERTIFICATE = {
    "required": "required; without a valid one, the TLS handshake fails",
    "optional": "optional; only a valid one is shown to the backend (X-Forwarded-Client-Cert)",
}


def explain_page(asked: str, told: Explanation, assumed: str | None = None) -> Iterator[Block]:
    """`asked`: what is explained."""
    yield Line(asked, "bold")
    yield Line(_decision(told), _style(told))
    if told.gateway is not None:
        yield Table(("PART", "WHICH"), tuple(_parts(told)))
    if told.filters:
        yield Table(("FILTER", "EFFECT"), tuple(map(_filter_row, told.filters)))
    if told.backends:
        yield Table(
            ("BACKEND", "WEIGHT", "SHARE", "GOES TO"),
            tuple(map(_share_row, told.backends)),
            tuple("red" if refuses(share) else "" for share in told.backends),
        )
    if assumed:
        yield Line(assumed)
    if told.considered:
        yield Table(("NOT MATCHED", "REASON"), tuple((_rule_name(near), near.reason) for near in told.considered))


def _decision(told: Explanation) -> str:
    answer = " ".join(str(part) for part in (told.status, told.reason) if part is not None)
    said = f"{told.decision}: {answer}" if answer else told.decision
    parts = refused_parts(told.backends or ()) if told.decision == "forward" else ()
    if not parts:
        return said
    texts = [
        f"{percent(part)} of requests get {status}" if status else f"{percent(part)} is refused"
        for part, status, _ in parts
    ]
    return f"{said}, but " + " and ".join(
        f"{text} ({reason})" for text, (_, _, reason) in zip(texts, parts, strict=True)
    )


def _style(told: Explanation) -> str:
    """Red, if something gets an error of the gateway."""
    if any(share.weight and refuses(share) for share in told.backends or ()) or (told.status or 0) >= 500:
        return "red"
    return "green" if told.decision == "forward" else "yellow"


def _parts(told: Explanation) -> Iterator[tuple[str, str]]:
    parts = (("gateway", told.gateway), ("listener", told.listener), ("route", told.route), ("rule", told.rule))
    yield from ((name, value) for name, value in parts if value is not None)
    if not isinstance(told.client_certificate, msgspec.UnsetType):
        yield "client certificate", CLIENT_CERTIFICATE[told.client_certificate]
    if told.match is not None:
        yield "match", _match_text(told.match)
    if not isinstance(told.retry, msgspec.UnsetType):
        yield "retry", _retry_text(told.retry)
    if not isinstance(told.session, msgspec.UnsetType):
        yield "session", _session_text(told.session)


def _match_text(match: dict[str, Any]) -> str:
    if "path" not in match:
        return f"TLS mode {match['mode']}, hostname {match['hostname'] or 'any'}"
    tests = [f"{match['path']['type']} {match['path']['value']}"]
    tests += [f"hostname {match['hostname']}"] if match["hostname"] else []
    tests += [f"method {match['method']}"] if match["method"] else []
    tests += [f"header {test['name']} {_equals(test)}" for test in match["headers"]]
    tests += [f"query {test['name']} {_equals(test)}" for test in match["queryParams"]]
    return f"{match['index']}: {', '.join(tests)}"


def _retry_text(retry: dict[str, Any]) -> str:
    codes = ", ".join(map(str, retry["codes"])) or "none"
    return f"up to {retry['attempts']} more tries, first after {retry['backoff']}; codes: {codes}"


def _session_text(session: dict[str, Any]) -> str:
    where = session["type"] if session["path"] is None else f"{session['type']}, path {session['path']}"
    lifetime = f"{session['lifetime']} s" if session["lifetime"] else "no limit"
    return f"{session['name']} ({where}) holds {session['holds']}; lifetime: {lifetime}"


def _equals(test: dict[str, Any]) -> str:
    return f"= {test['value']}" if test["type"] == "Exact" else f"matches {test['value']}"


def _filter_row(step: dict[str, Any]) -> tuple[str, str]:
    effects = []
    for name, value in step.items():
        if name == "type" or value in (None, []):
            continue
        if isinstance(value, list):
            value = ", ".join(f"{item['name']}: {item['value']}" if isinstance(item, dict) else item for item in value)
        effects.append(f"{name} {value}")
    return step["type"], "; ".join(effects)


def _share_row(share: Share) -> tuple[str, str, str, str]:
    if share.reason is not None:
        goes = "refused" if share.status is None else f"answered with {share.status}"
        goes += f" ({share.reason})" + (f": {share.message}" if share.message else "")
    else:
        goes = ", ".join(share.endpoints or ())
        if share.tls is not None:
            goes += f" over TLS for {share.tls.server_name} (BackendTLSPolicy {share.tls.policy})"
            if share.tls.client_certificate:
                goes += f", with the client certificate of Secret {share.tls.client_certificate}"
    filtered = "".join(f"; {kind}: {does}" for kind, does in map(_filter_row, share.filters))
    return share.backend, str(share.weight), f"{share.fraction} ({share.share:.2%})", goes + filtered


def _rule_name(near: Considered) -> str:
    if near.route is None:
        return f"{near.gateway} listener {near.listener}"
    if near.rule is None:
        return f"{near.route} at listener {near.listener}"
    return f"{near.route} rule {near.rule}" + (f" match {near.match}" if near.match is not None else "")
