"""Rules over several fields of routes: the CEL rules of their CRDs. Each kind of route has a table of them."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fastroute.resources.duration import milliseconds
from fastroute.resources.rule import Offenders, Rule, attribute, must, unique

MOST_MATCHES = 128  # in all rules of a route
_PATH = re.compile(r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+")
_GRPC_SERVICE = re.compile(r"\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*", re.IGNORECASE)
_GRPC_METHOD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")

# --- Parents


def _parent(ref: Any) -> tuple[str, ...]:
    return ref.group, ref.kind, ref.name, ref.namespace or ""


def _unlike_parents(refs: Sequence[Any]) -> Offenders:
    """All references to the same parent must set sectionName, or none of them; likewise port."""
    forms: dict[tuple[str, ...], tuple[bool, bool]] = {}
    for index, ref in enumerate(refs):
        form = (bool(ref.section_name), bool(ref.port))
        if forms.setdefault(_parent(ref), form) != form:
            yield (index,)


_PARENT_REFS = (
    Rule(
        "refers to the same parent as an earlier parentRef: sectionName (or port) must be set in all of them",
        _unlike_parents,
    ),
    unique(
        "duplicates an earlier parentRef: sectionName or port must differ",
        lambda ref: (*_parent(ref), ref.section_name or "", ref.port or 0),
    ),
)

# --- Rules, matches


def _matches_in_all(rules: Sequence[Any]) -> bool:
    return sum(len(rule.matches) for rule in rules) <= MOST_MATCHES


def _replaces_prefix(path: Any) -> bool:
    return path is not None and path.type == "ReplacePrefixMatch" and path.replace_prefix_match is not None


def _has_one_prefix(rule: Any) -> bool:
    return len(rule.matches) == 1 and rule.matches[0].path.type == "PathPrefix"


def _prefix_rule(payload: str) -> Callable[[Any], Offenders]:
    """A filter that replaces the matched prefix requires a rule with exactly one match, of type PathPrefix."""

    def offends(item: Any) -> bool:
        modifier = getattr(item, payload)
        return modifier is not None and _replaces_prefix(modifier.path)

    def judge(rule: Any) -> Offenders:
        if _has_one_prefix(rule):
            return
        for index, item in enumerate(rule.filters):
            if offends(item):
                yield ("filters", index)
        for number, ref in enumerate(rule.backend_refs):
            for index, item in enumerate(ref.filters):
                if offends(item):
                    yield ("backendRefs", number, "filters", index)

    return judge


def _literal(path: Any) -> bool:
    return path.type in ("Exact", "PathPrefix")


def _within_request(timeouts: Any) -> bool:
    if timeouts.request is None or timeouts.backend_request is None:
        return True
    request = milliseconds(timeouts.request)
    return request == 0 or milliseconds(timeouts.backend_request) <= request


_UNIQUE_NAMES = unique("name must be unique among the rules of a route", lambda rule: rule.name)
_RULES = (
    must(f"all rules together must have at most {MOST_MATCHES} matches", _matches_in_all),
    _UNIQUE_NAMES,
)
_RULE = (
    must(
        "backendRefs must not be set together with a RequestRedirect filter",
        lambda rule: not rule.backend_refs or not any(item.request_redirect is not None for item in rule.filters),
    ),
    *(
        Rule("replacePrefixMatch requires exactly one match in the rule, of type PathPrefix", _prefix_rule(payload))
        for payload in ("request_redirect", "url_rewrite")
    ),
)


def _without(part: str) -> Rule:
    return must(f"value must not contain {part!r}", lambda path: not _literal(path) or part not in path.value)


def _not_ending(part: str) -> Rule:
    return must(f"value must not end with {part!r}", lambda path: not _literal(path) or not path.value.endswith(part))


_PATH_MATCH = (
    must("value must begin with '/'", lambda path: not _literal(path) or path.value.startswith("/")),
    *map(_without, ("//", "/./", "/../", "%2f", "%2F", "#")),
    *map(_not_ending, ("/..", "/.")),
    must(
        "value must contain only characters allowed in a path; encode others as %XX",
        lambda path: not _literal(path) or bool(_PATH.fullmatch(path.value)),
    ),
)
_TIMEOUTS = (must("backendRequest must not be longer than request", _within_request),)
_GRPC_METHOD_MATCH = (
    must("service or method must be set", lambda match: match.service is not None or match.method is not None),
    must(
        "service must be a gRPC service name such as package.Service",
        lambda match: match.type != "Exact" or match.service is None or bool(_GRPC_SERVICE.fullmatch(match.service)),
    ),
    must(
        "method must be a gRPC method name such as Method",
        lambda match: match.type != "Exact" or match.method is None or bool(_GRPC_METHOD.fullmatch(match.method)),
    ),
)

# --- Backends, filters


def _has_port(ref: Any) -> bool:
    if isinstance(ref, dict):
        group, kind, port = ref.get("group", ""), ref.get("kind", "Service"), ref.get("port")
    else:
        group, kind, port = ref.group, ref.kind, ref.port
    return bool(group) or kind != "Service" or port is not None


_BACKEND_REF = (must("port must be set when the reference is to a Service", _has_port),)

_PAYLOADS = {
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestMirror": "requestMirror",
    "RequestRedirect": "requestRedirect",
    "URLRewrite": "urlRewrite",
    "ExtensionRef": "extensionRef",
    "CORS": "cors",
    "ExternalAuth": "externalAuth",
}
_ONCE = ("CORS", "RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite")


def _payload_is_there(kind: str, payload: str) -> Iterator[Rule]:
    name = attribute(payload)
    yield must(
        f"{payload} must not be set unless type is {kind}",
        lambda item: item.type == kind or getattr(item, name) is None,
    )
    yield must(
        f"{payload} must be set when type is {kind}",
        lambda item: item.type != kind or getattr(item, name) is not None,
    )


def _protocol_is_there(protocol: str, field: str) -> Iterator[Rule]:
    yield must(
        f"{field} must be set when protocol is {protocol}", lambda auth: auth["protocol"] != protocol or field in auth
    )
    yield must(
        f"{field} must not be set unless protocol is {protocol}",
        lambda auth: field not in auth or auth["protocol"] == protocol,
    )


def _single(kind: str) -> Rule:
    return unique(
        f"{kind} must occur at most once in a list of filters", lambda item: kind if item.type == kind else None
    )


def _redirects_or_rewrites(items: Sequence[Any]) -> bool:
    return not {"RequestRedirect", "URLRewrite"} <= {item.type for item in items}


_FILTERS = (
    must("RequestRedirect and URLRewrite must not be in the same list of filters", _redirects_or_rewrites),
    *map(_single, _ONCE),
)
_FILTER = tuple(rule for kind, payload in _PAYLOADS.items() for rule in _payload_is_there(kind, payload))
_PATH_MODIFIER = tuple(
    rule
    for kind, field in (("ReplaceFullPath", "replaceFullPath"), ("ReplacePrefixMatch", "replacePrefixMatch"))
    for rule in _payload_is_there(kind, field)
)
_MIRROR = (
    must("percent and fraction must not both be set", lambda mirror: mirror.percent is None or mirror.fraction is None),
)
_FRACTION = (
    must("numerator must not be greater than denominator", lambda fraction: fraction.numerator <= fraction.denominator),
)
_WILDCARD = (must("'*' must be the only entry", lambda items: "*" not in items or len(items) == 1),)
_EXTERNAL_AUTH = (*_protocol_is_there("GRPC", "grpc"), *_protocol_is_there("HTTP", "http"))
_SESSION = (
    must(
        "absoluteTimeout must be set when the lifetimeType of the cookie is Permanent",
        lambda session: not session.is_permanent or session.absolute_timeout is not None,
    ),
    must(
        "cookieConfig must not be set unless type is Cookie",
        lambda session: session.cookie_config is None or session.type == "Cookie",
    ),
    must(
        "cookie must not be set unless type is Cookie",
        lambda session: session.cookie is None or session.type == "Cookie",
    ),
    must(
        "header must not be set unless type is Header",
        lambda session: session.header is None or session.type == "Header",
    ),
)

# --- The tables

Ruled = tuple[tuple[str, tuple[Rule, ...]], ...]  # a field (RuledField.where) and its rules
_FILTER_LISTS = ("spec.rules[].filters", "spec.rules[].backendRefs[].filters")

_BOTH: Ruled = (
    ("spec.parentRefs", _PARENT_REFS),
    ("spec.rules", _RULES),
    ("spec.rules[].sessionPersistence", _SESSION),
    ("spec.rules[].backendRefs[]", _BACKEND_REF),
)
_FILTERS_OF_BOTH: Ruled = tuple(
    ruled
    for filters in _FILTER_LISTS
    for ruled in (
        (filters, _FILTERS),
        (f"{filters}[]", _FILTER),
        (f"{filters}[].requestMirror", _MIRROR),
        (f"{filters}[].requestMirror.fraction", _FRACTION),
        (f"{filters}[].requestMirror.backendRef", _BACKEND_REF),
    )
)
HTTP_RULES: Ruled = (
    *_BOTH,
    ("spec.rules[]", _RULE),
    ("spec.rules[].matches[].path", _PATH_MATCH),
    ("spec.rules[].timeouts", _TIMEOUTS),
    *_FILTERS_OF_BOTH,
    *(
        ruled
        for filters in _FILTER_LISTS
        for ruled in (
            (f"{filters}[].requestRedirect.path", _PATH_MODIFIER),
            (f"{filters}[].urlRewrite.path", _PATH_MODIFIER),
            (f"{filters}[].externalAuth", _EXTERNAL_AUTH),
            (f"{filters}[].externalAuth.backendRef", _BACKEND_REF),
            *((f"{filters}[].cors.{field}", _WILDCARD) for field in ("allowOrigins", "allowMethods", "allowHeaders")),
        )
    ),
)
L4_RULES: Ruled = (
    ("spec.parentRefs", _PARENT_REFS),
    ("spec.rules", (_UNIQUE_NAMES,)),
    ("spec.rules[].backendRefs[]", _BACKEND_REF),
)
GRPC_RULES: Ruled = (*_BOTH, ("spec.rules[].matches[].method", _GRPC_METHOD_MATCH), *_FILTERS_OF_BOTH)
