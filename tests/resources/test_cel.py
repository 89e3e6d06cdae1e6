"""Every rule about several fields: an object that satisfies it, and an object that violates it."""

import pytest
from resources.manifests import (
    BACKEND_TLS_POLICY,
    ENDPOINT_SLICE,
    GATEWAY,
    GRPC_ROUTE,
    HTTP_ROUTE,
    LISTENER_SET,
    SECRET,
    SERVICE,
    TELEMETRY_POLICY,
    TLS_ROUTE,
    resource,
    said,
)

from fastroute.resources.cel import RULED_FIELDS
from fastroute.resources.decode import decode

LISTENER = "protocol: HTTP"
GATEWAY_SPEC = "  gatewayClassName: fastroute\n"
MATCH = "        - path: {type: PathPrefix, value: /fruits}\n"
PARENT = "    - name: edge\n"
RULE = "    - matches:\n"
BACKEND = "        - name: apples\n          port: 8080\n"
PORT = "    - port: 8080\n"


def listener(more: str) -> tuple[str, str, str]:
    return GATEWAY, LISTENER, f"{more}"


def entry(more: str) -> tuple[str, str, str]:
    return LISTENER_SET, LISTENER, f"{more}"


def gateway(more: str) -> tuple[str, str, str]:
    return GATEWAY, GATEWAY_SPEC, f"{GATEWAY_SPEC}  {more}\n"


def route(old: str, new: str) -> tuple[str, str, str]:
    return HTTP_ROUTE, old, new


def rule(more: str) -> tuple[str, str, str]:
    return HTTP_ROUTE, RULE, f"    - {more}\n      matches:\n"


def path(more: str) -> tuple[str, str, str]:
    return HTTP_ROUTE, MATCH, f"        - path: {more}\n"


def grpc(old: str, new: str) -> tuple[str, str, str]:
    return GRPC_ROUTE, old, new


def method(more: str) -> tuple[str, str, str]:
    return GRPC_ROUTE, "{service: fruits.Basket, method: Pick}", more


def filters(*items: str) -> tuple[str, str, str]:
    return rule(f"filters: [{', '.join(items)}]")


def backend_filters(*items: str) -> tuple[str, str, str]:
    return HTTP_ROUTE, BACKEND, f"{BACKEND}          filters: [{', '.join(items)}]\n"


TARGET = "      sectionName: https\n"
WELL_KNOWN = "    wellKnownCACertificates: System\n"
CA_REFS = "caCertificateRefs: [{group: '', kind: ConfigMap, name: a}]"


def targets(*more: str, section: str = TARGET) -> tuple[str, str, str]:
    """`more` targets, all with the Service that the manifest already refers to."""
    lines = "".join(f"    - {{group: '', kind: Service, name: apples{each}}}\n" for each in more)
    return BACKEND_TLS_POLICY, TARGET, section + lines


def validation(*lines: str) -> tuple[str, str, str]:
    return BACKEND_TLS_POLICY, WELL_KNOWN, "".join(f"    {line}\n" for line in lines)


def alternative(name: str) -> tuple[str, str, str]:
    return validation(WELL_KNOWN.strip(), f"subjectAltNames: [{{{name}}}]")


MODE, RATE = "    mode: Enabled\n", "    samplingRate: {numerator: 5}\n"
PROVIDER = "    provider:\n      backendRef: {name: otel, port: 4318}\n"
RESPECTED = "    parentBasedSampling: {mode: Enabled}\n"


def traced(old: str, new: str = "") -> tuple[str, str, str]:
    return TELEMETRY_POLICY, old, new


def untraced(line: str) -> tuple[str, str, str]:
    """`line` with a mode that forbids it."""
    return TELEMETRY_POLICY, MODE + PROVIDER + RATE + RESPECTED, f"    {line}\n"


SET = "{set: [{name: a, value: b}]}"
REQUEST = f"{{type: RequestHeaderModifier, requestHeaderModifier: {SET}}}"
RESPONSE = f"{{type: ResponseHeaderModifier, responseHeaderModifier: {SET}}}"
REDIRECT = "{type: RequestRedirect, requestRedirect: {hostname: a.example}}"
REWRITE = "{type: URLRewrite, urlRewrite: {hostname: a.example}}"
MIRROR = "{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}}}"
CORS = "{type: CORS, cors: {allowOrigins: ['*']}}"
EXTENSION = "{type: ExtensionRef, extensionRef: {group: a.example, kind: A, name: a}}"
AUTH = "{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {}, backendRef: {name: a, port: 1}}}"
PREFIX_REDIRECT = "{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /a}}}"
PREFIX_REWRITE = "{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /a}}}"


def without_backends(change: tuple[str, str, str]) -> tuple[str, str, str]:
    text, old, new = change
    return text.replace("      backendRefs:\n" + BACKEND, ""), old, new


def exactly(change: tuple[str, str, str], match: str) -> tuple[str, str, str]:
    """The same change, with another match in the rule."""
    text, old, new = change
    return text.replace(old, new, 1), MATCH, match


def mirror(more: str) -> tuple[str, str, str]:
    return filters(f"{{type: RequestMirror, requestMirror: {{backendRef: {{name: a, port: 1}}, {more}}}}}")


def rewrite_path(more: str) -> tuple[str, str, str]:
    return filters(f"{{type: URLRewrite, urlRewrite: {{path: {{{more}}}}}}}")


def auth(more: str) -> tuple[str, str, str]:
    return filters(f"{{type: ExternalAuth, externalAuth: {{backendRef: {{name: a, port: 1}}, {more}}}}}")


def cors(more: str) -> tuple[str, str, str]:
    return filters(f"{{type: CORS, cors: {{{more}}}}}")


def more_matches(number: int) -> tuple[str, str, str]:
    """A route with `number` matches, in rules with up to 64 each."""
    matches = [f"{{path: {{value: /{index}}}}}" for index in range(number)]
    rules = [f"    - {{matches: [{', '.join(matches[at : at + 64])}]}}\n" for at in range(0, number, 64)]
    start = HTTP_ROUTE.index(RULE)
    return HTTP_ROUTE[:start] + "#\n", "#\n", "".join(rules)


PARENTS = "sectionName (or port) must be set in all of them"
AGAIN = "duplicates an earlier parentRef: sectionName or port must differ"
ONE_PREFIX = "replacePrefixMatch requires exactly one match in the rule, of type PathPrefix"
LONG_PREFIX = "a." * 126 + "b"
CERTIFICATES = "certificateRefs: [{name: a}]"

# Field and message of the invalid change; a valid change of a valid manifest; an invalid change.
RULES = [
    ("spec.listeners[0]: tls must not be set when protocol is HTTP, TCP or UDP",
     listener(f"protocol: HTTPS\n      tls: {{{CERTIFICATES}}}"),
     listener(f"protocol: HTTP\n      tls: {{{CERTIFICATES}}}")),
    ("spec.listeners[0]: tls must not be set when protocol is HTTP, TCP or UDP",
     listener("protocol: UDP"), listener("protocol: UDP\n      tls: {mode: Passthrough}")),
    ("spec.listeners[0]: tls.mode must be Terminate when protocol is HTTPS",
     listener("protocol: HTTPS"), listener("protocol: HTTPS\n      tls: {mode: Passthrough}")),
    ("spec.listeners[0]: tls and its mode must be set when protocol is TLS",
     listener("protocol: TLS\n      tls: {mode: Passthrough}"), listener("protocol: TLS")),
    ("spec.listeners[0]: hostname must not be set when protocol is TCP or UDP",
     listener("protocol: TCP"), listener("protocol: TCP\n      hostname: a.example")),
    ("spec.listeners[0].tls: certificateRefs or options must be set when mode is Terminate",
     listener("protocol: HTTPS\n      tls: {options: {a: b}}"), listener("protocol: HTTPS\n      tls: {}")),
    ("spec.listeners[1]: the combination of port, protocol and hostname must be unique among the listeners",
     listener("protocol: HTTP\n    - {name: b, port: 80, protocol: HTTP, hostname: a.example}"),
     listener("protocol: HTTP\n    - {name: b, port: 80, protocol: HTTP}")),
    ("spec.listeners[1]: the combination of port, protocol and hostname must be unique among the listeners",
     listener("protocol: HTTP\n    - {name: b, port: 80, protocol: HTTPS}"),
     listener("protocol: HTTP\n      hostname: a.b\n    - {name: b, port: 80, protocol: HTTP, hostname: a.b}")),
    ("spec.listeners[0]: tls.mode must be Terminate when protocol is HTTPS",
     entry("protocol: HTTPS"), entry("protocol: HTTPS\n      tls: {mode: Passthrough}")),
    ("spec.listeners[0].tls: certificateRefs or options must be set when mode is Terminate",
     entry("protocol: HTTPS\n      tls: {options: {a: b}}"), entry("protocol: HTTPS\n      tls: {}")),
    ("spec.listeners[1]: the combination of port, protocol and hostname must be unique among the listeners",
     entry("protocol: HTTP\n    - {name: b, port: 81, protocol: HTTP}"),
     entry("protocol: HTTP\n    - {name: b, port: 80, protocol: HTTP}")),
    ("spec.addresses[1]: IP addresses must be unique",
     gateway("addresses: [{value: 1.2.3.4}, {value: 1.2.3.5}, {}, {}]"),
     gateway("addresses: [{value: 1.2.3.4}, {type: IPAddress, value: 1.2.3.4}]")),
    ("spec.addresses[1]: host names must be unique",
     gateway("addresses: [{type: Hostname, value: a.b}, {type: Hostname, value: a.c}]"),
     gateway("addresses: [{type: Hostname, value: a.b}, {type: Hostname, value: a.b}]")),
    ("spec.addresses[0]: value must be an IPv4 or IPv6 address when type is IPAddress",
     gateway("addresses: [{value: '::1'}, {type: example.com/x, value: any thing}]"),
     gateway("addresses: [{value: a.b}]")),
    ("spec.addresses[0]: value must be an IPv4 or IPv6 address when type is IPAddress",
     gateway("addresses: [{value: 10.0.0.1}]"), gateway("addresses: [{value: 'fe80::1%eth0'}]")),
    ("spec.addresses[0]: value must be a host name in lower case when type is Hostname",
     gateway("addresses: [{type: Hostname, value: '*.a.b'}]"), gateway("addresses: [{type: Hostname, value: A.b}]")),
    (f"spec.infrastructure.labels[{LONG_PREFIX}/x]: the prefix of the key must be shorter than 253 characters",
     gateway(f"infrastructure: {{labels: {{{LONG_PREFIX[2:]}/x: z}}}}"),
     gateway(f"infrastructure: {{labels: {{{LONG_PREFIX}/x: z}}}}")),
    (f"spec.infrastructure.annotations[{LONG_PREFIX}/x]: the prefix of the key must be shorter than 253 characters",
     gateway("infrastructure: {annotations: {a/x: z}}"),
     gateway(f"infrastructure: {{annotations: {{{LONG_PREFIX}/x: z}}}}")),
    (f"spec.parentRefs[1]: refers to the same parent as an earlier parentRef: {PARENTS}",
     route(PARENT, "    - {name: edge, sectionName: a}\n    - {name: edge, sectionName: b}\n"),
     route(PARENT, "    - {name: edge}\n    - {name: edge, sectionName: b}\n")),
    (f"spec.parentRefs[1]: refers to the same parent as an earlier parentRef: {PARENTS}",
     route(PARENT, "    - {name: edge, port: 1}\n    - {name: edge, namespace: a}\n"),
     grpc(PARENT, "    - {name: edge, port: 1}\n    - {name: edge, sectionName: a}\n")),
    (f"spec.parentRefs[1]: {AGAIN}",
     route(PARENT, "    - {name: edge, port: 1, sectionName: a}\n    - {name: edge, port: 2, sectionName: a}\n"),
     route(PARENT, "    - {name: edge, port: 1, sectionName: a}\n    - {name: edge, port: 1, sectionName: a}\n")),
    (f"spec.parentRefs[2]: {AGAIN}",
     route(PARENT, "    - {name: a}\n    - {name: b}\n    - {name: a, kind: Service, group: ''}\n"),
     route(PARENT, "    - {name: a}\n    - {name: b}\n    - {name: a, kind: Gateway}\n")),
    ("spec.rules: all rules together must have at most 128 matches", more_matches(128), more_matches(129)),
    ("spec.rules[1]: name must be unique among the rules of a route",
     route(RULE, "    - name: a\n    - name: b\n" + RULE), route(RULE, "    - name: a\n    - name: a\n" + RULE)),
    ("spec.rules[0]: backendRefs must not be set together with a RequestRedirect filter",
     without_backends(filters(REDIRECT)), filters(REDIRECT)),
    (f"spec.rules[0].filters[0]: {ONE_PREFIX}",
     without_backends(filters(PREFIX_REDIRECT)),
     exactly(without_backends(filters(PREFIX_REDIRECT)), MATCH + "        - {}\n")),
    (f"spec.rules[0].filters[0]: {ONE_PREFIX}",
     filters(PREFIX_REWRITE), exactly(filters(PREFIX_REWRITE), "        - path: {type: Exact}\n")),
    (f"spec.rules[0].filters[0]: {ONE_PREFIX}",
     exactly(filters(PREFIX_REWRITE), "        - method: GET\n"), exactly(filters(PREFIX_REWRITE), "        []\n")),
    (f"spec.rules[0].backendRefs[0].filters[0]: {ONE_PREFIX}",
     backend_filters(PREFIX_REDIRECT), exactly(backend_filters(PREFIX_REDIRECT), "        - path: {type: Exact}\n")),
    (f"spec.rules[0].backendRefs[0].filters[0]: {ONE_PREFIX}",
     backend_filters(PREFIX_REWRITE), exactly(backend_filters(PREFIX_REWRITE), "        - path: {type: Exact}\n")),
    ("spec.rules[0].matches[0].path: value must begin with '/'", path("{type: RegularExpression, value: a}"),
    path("{value: a}")),
    *((f"spec.rules[0].matches[0].path: value must not contain {part!r}",
       path(f"{{type: RegularExpression, value: 'a{part}b'}}"), path(f"{{type: Exact, value: '/a{part}b'}}"))
      for part in ("//", "/./", "/../", "%2f", "%2F")),
    *((f"spec.rules[0].matches[0].path: value must not end with {part!r}",
       path(f"{{value: '/a{part}a'}}"), path(f"{{value: '/a{part}'}}")) for part in ("/..", "/.")),
    ("spec.rules[0].matches[0].path: value must contain only characters allowed in a path; encode others as %XX",
     path("{value: '/%20-._~!$&()*+,;=:@'}"), path("{value: '/a b'}")),
    ("spec.rules[0].matches[0].path: value must contain only characters allowed in a path; encode others as %XX",
     path("{type: RegularExpression, value: '[a b]'}"), path("{value: '/%2'}")),
    ("spec.rules[0].timeouts: backendRequest must not be longer than request",
     rule("timeouts: {request: 1m, backendRequest: 60s}"), rule("timeouts: {request: 1m, backendRequest: 60s1ms}")),
    ("spec.rules[0].timeouts: backendRequest must not be longer than request",
     rule("timeouts: {backendRequest: 1s}"), rule("timeouts: {request: 1s, backendRequest: 2s}")),
    ("spec.rules[0].timeouts: backendRequest must not be longer than request",
     rule("timeouts: {request: 0s, backendRequest: 1s}"), rule("timeouts: {request: 1ms, backendRequest: 1s}")),
    ("spec.rules[0].sessionPersistence: absoluteTimeout must be set when the lifetimeType of the cookie is Permanent",
     rule("sessionPersistence: {absoluteTimeout: 1h, cookieConfig: {lifetimeType: Permanent}}"),
     rule("sessionPersistence: {cookieConfig: {lifetimeType: Permanent}}")),
    ("spec.rules[0].sessionPersistence: absoluteTimeout must be set when the lifetimeType of the cookie is Permanent",
     rule("sessionPersistence: {cookie: {}}"), rule("sessionPersistence: {cookie: {lifetimeType: Permanent}}")),
    ("spec.rules[0].sessionPersistence: cookie must not be set unless type is Cookie",
     rule("sessionPersistence: {cookie: {name: a}}"), rule("sessionPersistence: {type: Header, cookie: {}}")),
    ("spec.rules[0].sessionPersistence: header must not be set unless type is Header",
     rule("sessionPersistence: {type: Header, header: {name: a}}"), rule("sessionPersistence: {header: {name: a}}")),
    ("spec.rules[0].sessionPersistence: cookieConfig must not be set unless type is Cookie",
     rule("sessionPersistence: {cookieConfig: {}}"), rule("sessionPersistence: {type: Header, cookieConfig: {}}")),
    ("spec.rules[0].backendRefs[0]: port must be set when the reference is to a Service",
     route(BACKEND, "        - {name: a, group: a.example, kind: A}\n"), route(BACKEND, "        - {name: a}\n")),
    ("spec.rules[0].backendRefs[0]: port must be set when the reference is to a Service",
     grpc(BACKEND, "        - {name: a, kind: A}\n"), grpc(BACKEND, "        - {name: a}\n")),
    ("spec.rules[0].filters[0].requestMirror.backendRef: port must be set when the reference is to a Service",
     filters(MIRROR), filters(MIRROR.replace(", port: 1", ""))),
    ("spec.rules[0].filters[0].externalAuth.backendRef: port must be set when the reference is to a Service",
     filters(AUTH), filters(AUTH.replace(", port: 1", ""))),
    ("spec.rules[0].backendRefs[0].filters: RequestRedirect and URLRewrite must not be in the same list of filters",
     backend_filters(REDIRECT), backend_filters(REDIRECT, REWRITE)),
    *((f"spec.rules[0].filters[1]: {kind} must occur at most once in a list of filters",
       filters(one, MIRROR, MIRROR, EXTENSION, EXTENSION), filters(one, one))
      for kind, one in (("RequestHeaderModifier", REQUEST), ("ResponseHeaderModifier", RESPONSE),
                        ("URLRewrite", REWRITE), ("CORS", CORS))),
    ("spec.rules[0].filters[1]: RequestRedirect must occur at most once in a list of filters",
     without_backends(filters(REDIRECT)), without_backends(filters(REDIRECT, REDIRECT))),
    *((f"spec.rules[0].filters[0]: {payload} must be set when type is {kind}", filters(one),
    filters(f"{{type: {kind}}}"))
      for kind, payload, one in (
          ("RequestHeaderModifier", "requestHeaderModifier", REQUEST),
          ("ResponseHeaderModifier", "responseHeaderModifier", RESPONSE), ("RequestMirror", "requestMirror", MIRROR),
          ("URLRewrite", "urlRewrite", REWRITE), ("ExtensionRef", "extensionRef", EXTENSION), ("CORS", "cors", CORS),
          ("ExternalAuth", "externalAuth", AUTH))),
    ("spec.rules[0].filters[0]: requestRedirect must be set when type is RequestRedirect",
     without_backends(filters(REDIRECT)), filters("{type: RequestRedirect}")),
    *((f"spec.rules[0].filters[0]: {payload} must not be set unless type is {kind}",
       filters(REQUEST), filters(REQUEST.removesuffix("}") + f", {one.partition(', ')[2]}"))
      for kind, payload, one in (
          ("ResponseHeaderModifier", "responseHeaderModifier", RESPONSE), ("RequestMirror", "requestMirror", MIRROR),
          ("URLRewrite", "urlRewrite", REWRITE), ("ExtensionRef", "extensionRef", EXTENSION), ("CORS", "cors", CORS),
          ("ExternalAuth", "externalAuth", AUTH))),
    ("spec.rules[0].backendRefs[0].filters[0]: requestRedirect must not be set unless type is RequestRedirect",
     backend_filters(REQUEST), backend_filters(REQUEST.removesuffix("}") + f", {REDIRECT.partition(', ')[2]}")),
    ("spec.rules[0].filters[0]: requestHeaderModifier must not be set unless type is RequestHeaderModifier",
     filters(RESPONSE), filters(RESPONSE.removesuffix("}") + f", {REQUEST.partition(', ')[2]}")),
    ("spec.rules[0].filters[0].urlRewrite.path: replaceFullPath must be set when type is ReplaceFullPath",
     rewrite_path("type: ReplaceFullPath, replaceFullPath: ''"), rewrite_path("type: ReplaceFullPath")),
    ("spec.rules[0].filters[0].urlRewrite.path: replacePrefixMatch must be set when type is ReplacePrefixMatch",
     rewrite_path("type: ReplacePrefixMatch, replacePrefixMatch: ''"), rewrite_path("type: ReplacePrefixMatch")),
    ("spec.rules[0].filters[0].urlRewrite.path: replaceFullPath must not be set unless type is ReplaceFullPath",
     rewrite_path("type: ReplacePrefixMatch, replacePrefixMatch: /"),
     rewrite_path("type: ReplacePrefixMatch, replacePrefixMatch: /, replaceFullPath: /")),
    ("spec.rules[0].backendRefs[0].filters[0].requestRedirect.path: replacePrefixMatch must not be set unless type is"
     " ReplacePrefixMatch",
     backend_filters("{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /}}}"),
     backend_filters("{type: RequestRedirect, requestRedirect: {path:"
                     " {type: ReplaceFullPath, replaceFullPath: /, replacePrefixMatch: /}}}")),
    ("spec.rules[0].filters[0].requestMirror: percent and fraction must not both be set",
     mirror("percent: 5"), mirror("percent: 5, fraction: {numerator: 1}")),
    ("spec.rules[0].filters[0].requestMirror.fraction: numerator must not be greater than denominator",
     mirror("fraction: {numerator: 100}"), mirror("fraction: {numerator: 101}")),
    ("spec.rules[0].filters[0].requestMirror.fraction: numerator must not be greater than denominator",
     mirror("fraction: {numerator: 101, denominator: 1000}"), mirror("fraction: {numerator: 2, denominator: 1}")),
    *((f"spec.rules[0].filters[0].cors.{field}: '*' must be the only entry", cors(f"{field}: ['*']"),
    cors(f"{field}: ['*', {other}]"))
      for field, other in (("allowOrigins", "'https://a.b'"), ("allowMethods", "GET"), ("allowHeaders", "a"))),
    ("spec.rules[0].filters[0].externalAuth: grpc must be set when protocol is GRPC",
     auth("protocol: GRPC, grpc: {}"), auth("protocol: GRPC")),
    ("spec.rules[0].filters[0].externalAuth: http must be set when protocol is HTTP",
     auth("protocol: HTTP, http: {}"), auth("protocol: HTTP")),
    ("spec.rules[0].filters[0].externalAuth: grpc must not be set unless protocol is GRPC",
     auth("protocol: HTTP, http: {path: /a}"), auth("protocol: HTTP, http: {}, grpc: {}")),
    ("spec.rules[0].filters[0].externalAuth: http must not be set unless protocol is HTTP",
     auth("protocol: GRPC, grpc: {allowedHeaders: [a]}"), auth("protocol: GRPC, http: {}, grpc: {}")),
    ("spec.rules[0].matches[0].method: service or method must be set", method("{service: a}"), method("{type: Exact}")),
    ("spec.rules[0].matches[0].method: service must be a gRPC service name such as package.Service",
     method("{type: RegularExpression, service: '.*'}"), method("{service: 'a/b'}")),
    ("spec.rules[0].matches[0].method: method must be a gRPC method name such as Method",
     method("{service: .a.B_1}"), method("{method: a.b}")),
    ("spec.targetRefs[1]: is the same object as an earlier target: sectionName must be set in both",
     targets(", sectionName: b"), targets("")),
    ("spec.targetRefs[1]: duplicates an earlier target: sectionName must differ",
     targets(", sectionName: http"), targets(", sectionName: https")),
    ("spec.targetRefs[1]: duplicates an earlier target: sectionName must differ",
     (BACKEND_TLS_POLICY, TARGET, ""), targets("", section="")),
    ("spec.validation: caCertificateRefs and wellKnownCACertificates must not both be set",
     validation(CA_REFS), validation(CA_REFS, WELL_KNOWN.strip())),
    ("spec.validation: caCertificateRefs or wellKnownCACertificates must be set",
     validation(WELL_KNOWN.strip()), validation("caCertificateRefs: []")),
    ("spec.validation.subjectAltNames[0]: hostname must be set when type is Hostname",
     alternative("type: Hostname, hostname: '*.a.b'"), alternative("type: Hostname")),
    ("spec.validation.subjectAltNames[0]: hostname must not be set unless type is Hostname",
     alternative("type: Hostname, hostname: a.b"), alternative("type: URI, uri: 'a://b', hostname: a.b")),
    ("spec.validation.subjectAltNames[0]: uri must be set when type is URI",
     alternative("type: URI, uri: 'spiffe://a/b'"), alternative("type: URI")),
    ("spec.validation.subjectAltNames[0]: uri must not be set unless type is URI",
     alternative("type: URI, uri: 'a://b'"), alternative("type: Hostname, hostname: a.b, uri: 'a://b'")),
    ("spec: tracing must be set", traced(RATE), traced("  tracing:\n" + MODE + PROVIDER + RATE + RESPECTED)),
    ("spec.tracing: provider is required when mode is Enabled, and must not be set otherwise",
     traced(PROVIDER, PROVIDER), traced(PROVIDER)),
    *((f"spec.tracing: {field} can only be set when mode is Enabled",
       traced(RATE + RESPECTED, f"    {field}: {value}\n"), untraced(f"{field}: {value}"))
      for field, value in (("samplingRate", "{numerator: 1}"), ("parentBasedSampling", "{}"), ("serviceName", "a"),
                           ("spanName", "a b"), ("attributes", "[]"))),
    ("spec.tracing.samplingRate: numerator must be at most denominator",
     traced("{numerator: 5}", "{numerator: 100}"), traced("{numerator: 5}", "{numerator: 101}")),
    ("spec.tracing.parentBasedSampling: samplingRate can only be set when mode is Enabled",
     traced("{mode: Enabled}", "{mode: Enabled, samplingRate: {numerator: 1}}"),
     traced("{mode: Enabled}", "{samplingRate: {numerator: 1}}")),
    ("spec.tracing.parentBasedSampling.samplingRate: numerator must be at most denominator",
     traced("{mode: Enabled}", "{mode: Enabled, samplingRate: {numerator: 3, denominator: 3}}"),
     traced("{mode: Enabled}", "{mode: Enabled, samplingRate: {numerator: 4, denominator: 3}}")),
    ("spec.tracing.provider.backendRef: port must be set for a Service",
     traced(", port: 4318", ", kind: Other, group: a"), traced(", port: 4318")),
    ("spec.tracing.provider.backendRef: port must not be set for an XBackend",
     traced(", port: 4318", ", kind: XBackend, group: gateway.networking.x-k8s.io"),
     traced(", port: 4318", ", port: 1, kind: XBackend, group: gateway.networking.x-k8s.io")),
    *((f"spec.tracing.attributes[0]: {field} is required when sourceType is {source}, and must not be set otherwise",
       traced(RATE, f"    attributes: [{{name: a, sourceType: {source}, {field}: a}}]\n"),
       traced(RATE, f"    attributes: [{{name: a, sourceType: {source}}}]\n"))
      for source, field in (("Header", "headerName"), ("Literal", "literalValue"), ("Attribute", "attributeKey"))),
    ("spec.ports[1]: the combination of port and protocol must be unique among the ports",
     (SERVICE, PORT, "    - {port: 1, name: a}\n    - {port: 1, name: b, protocol: UDP}\n"),
     (SERVICE, PORT, "    - {port: 1, name: a}\n    - {port: 1, name: b, protocol: TCP}\n")),
    ("spec.ports[1]: name must be unique among the ports",
     (SERVICE, PORT, "    - {port: 1}\n"), (SERVICE, PORT, "    - {port: 1, name: a}\n    - {port: 2, name: a}\n")),
    ("spec.ports[1]: name must be set when a Service has several ports",
     (SERVICE, PORT, "    []\n"), (SERVICE, PORT, "    - {port: 1, name: a}\n    - {port: 2}\n")),
    ("ports[1]: name must be unique among the ports",
     (ENDPOINT_SLICE, "  - port: 3000", "  - {port: 3000}\n  - {port: 3000, name: b}"),
     (ENDPOINT_SLICE, "  - port: 3000", "  - {port: 3000}\n  - {port: 3001}")),
    ("endpoints[0].addresses[1]: must be an address of the slice's addressType",
     (ENDPOINT_SLICE, "addressType: IPv4\nendpoints:\n  - addresses: [127.0.0.1]",
      "addressType: FQDN\nendpoints:\n  - addresses: [a.example]"),
     (ENDPOINT_SLICE, "[127.0.0.1]", "[127.0.0.1, '::1']")),
    *(("endpoints[0].addresses[0]: must not be an unspecified, link-local or multicast address",
       (ENDPOINT_SLICE, "[127.0.0.1]", "[10.0.0.1]"), (ENDPOINT_SLICE, "[127.0.0.1]", f"[{address}]"))
      for address in ("169.254.169.254", "0.0.0.0", "224.0.0.1")),
    ("spec.hostnames[0]: must be a host name, not an IP address",
     (TLS_ROUTE, "fruits.example.com", "10.0.0.256"), (TLS_ROUTE, "fruits.example.com", "10.0.0.1")),
    ("data[tls.crt]: must be base64 (use stringData for plain text)",
     (SECRET, "aGVsbG8=", '"aGVs\\nbG8="'), (SECRET, "aGVsbG8=", "aGVsbG8")),
]  # fmt: skip


@pytest.mark.parametrize(("message", "good", "bad"), RULES, ids=[case[0][:90] for case in RULES])
def test_a_rule_judges(message, good, bad):
    for text, old, _ in (good, bad):
        assert old in text
    assert said(good[0].replace(good[1], good[2], 1)) == []
    found = decode(bad[0].replace(bad[1], bad[2], 1), "x.yaml")
    assert [f"{problem.field}: {problem.message}" for entry in found for problem in entry.problems] == [message]


def test_a_hash_in_a_path_breaks_two_rules():
    said_of_it = said(HTTP_ROUTE.replace("/fruits", "'/a#b'"))
    assert [line.partition("path: ")[2] for line in said_of_it] == [
        "value must not contain '#'",
        "value must contain only characters allowed in a path; encode others as %XX",
    ]


def test_no_rule_is_without_a_case():
    tried = {case[0].rpartition(": ")[2] for case in RULES} | {case[0].partition(": ")[2] for case in RULES}
    tried.add("value must not contain '#'")
    rules = {rule.message for field in RULED_FIELDS for rule in field.rules}
    assert rules - tried == set()


def test_the_length_of_a_list_of_no_rules_is_no_fault():
    assert resource(HTTP_ROUTE.replace(HTTP_ROUTE[HTTP_ROUTE.index("  rules:") :], "")).spec.rules
