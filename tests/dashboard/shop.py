"""A world with all that the dashboard shows: two Gateways, a canary, a refused reference, certificates."""

from base64 import b64encode

from certificates import NOW, certificate
from msgspec.structs import replace
from view.seen import seen
from worlds import grant, route, service, world

from fastroute.ext.reactor.counters import BOUNDS
from fastroute.view.state import Standing, State
from fastroute.view.traffic import Flow, Traffic

MARKUP = '<img src=x onerror="window.hacked=1">'  # a regular expression, and a value of a header field
GATEWAYS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: infra}
spec:
  gatewayClassName: fastroute
  listeners:
  - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
  - name: https
    port: 443
    protocol: HTTPS
    hostname: "*.example.com"
    allowedRoutes: {namespaces: {from: All}}
    tls: {certificateRefs: [{name: edge}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: internal, namespace: infra}
spec:
  gatewayClassName: fastroute
  listeners:
  - {name: ledger, port: 5432, protocol: TCP, allowedRoutes: {namespaces: {from: All}, kinds: [{kind: TCPRoute}]}}
  - {name: admin, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: old}]}}
"""
LEDGER = """
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: ledger, namespace: billing}
spec:
  parentRefs: [{name: internal, namespace: infra, sectionName: ledger}]
  rules: [{backendRefs: [{name: ledger, port: 80}]}]
"""
CHECKOUT = """
  - name: pay
    matches: [{path: {type: PathPrefix, value: /pay}, method: POST}]
    backendRefs:
    - {name: checkout, port: 80, weight: 90}
    - {name: checkout-canary, port: 80, weight: 10}
  - name: invoices
    matches: [{path: {type: PathPrefix, value: /invoices}}]
    backendRefs:
    - {name: invoices, namespace: billing, port: 80}
"""
CATALOGUE = """
  - matches: [{path: {type: PathPrefix, value: /}}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-Served-By, value: catalogue}]}}]
    backendRefs: [{name: catalogue, port: 80}]
"""
SEARCH = """
  - matches: [{path: {type: PathPrefix, value: /find}}]
    backendRefs: [{name: missing, port: 80}]
"""
MARKED = f"""
  - matches: [{{path: {{type: RegularExpression, value: '/{MARKUP}'}}, headers: [{{name: X-Mark, value: '{MARKUP}'}}]}}]
    backendRefs: [{{name: missing, port: 80}}]
"""
HOSTS = '["shop.example.com"]'


def secret(name: str, *names: str, days: float) -> str:
    made = certificate(*names, days=days)
    chain, key = b64encode(made.chain).decode(), b64encode(made.key).decode()
    return f"""
apiVersion: v1
kind: Secret
metadata: {{name: {name}, namespace: infra}}
type: kubernetes.io/tls
data: {{tls.crt: {chain}, tls.key: {key}}}
"""


MANIFESTS = (
    *GATEWAYS.split("\n---\n"),
    LEDGER,
    route("shop/checkout", CHECKOUT, HOSTS),
    route("shop/catalogue", CATALOGUE, HOSTS),
    route("shop/search", SEARCH, '["find.example.com"]'),
    service("shop/checkout", 18001, 18002),
    service("shop/checkout-canary", 18003),
    service("shop/catalogue", 18004),
    service("billing/invoices", 18005),
    service("billing/ledger", 18006),
    secret("edge", "*.example.com", "example.com", days=9),
    secret("old", "admin.example.com", days=-3),
)
HOSTILE = route("shop/marked", MARKED, '["marked.example.com"]')
ALLOWED = grant("billing", "shop", "invoices")

CHECKOUTS, CATALOGUES = ("HTTPRoute", "shop/checkout"), ("HTTPRoute", "shop/catalogue")


def _buckets(middle: int, total: int) -> tuple[int, ...]:
    """Durations around the bucket with the number `middle`."""
    parts = {middle - 1: 0.3, middle: 0.5, middle + 1: 0.17, middle + 3: 0.03}
    return tuple(int(total * parts.get(index, 0)) for index in range(len(BOUNDS) + 1))


def traffic(canary: int = 512, failed: int = 96) -> Traffic:
    flows = {
        CHECKOUTS: Flow(5_930, failed, _buckets(6, 5_930)),
        CATALOGUES: Flow(18_411, 2, _buckets(4, 18_411)),
        ("TCPRoute", "billing/ledger"): Flow(41, 0, ()),
    }
    shares = {
        (*CHECKOUTS, "pay"): {"shop/checkout:80": 4_611, "shop/checkout-canary:80": canary},
        (*CHECKOUTS, "invoices"): {"billing/invoices:80": 96},
        (*CATALOGUES, "0"): {"shop/catalogue:80": 18_411},
    }
    listeners = {("infra/web", "http"): 1_204, ("infra/web", "https"): 23_137, ("infra/internal", "ledger"): 41}
    return Traffic(12.0, BOUNDS, flows, shares, listeners)


WORKERS = (
    Standing(0, 4711, 42, "serving", 812.4, 61_000_000, 0.0031, 0.0008, 214, 31),
    Standing(1, 4712, 41, "late", 790.2, 60_400_000, 0.0127, 0.0011, 198, 28),
)


def shop(*more: str) -> State:
    """`more`: further manifests."""
    state = seen(world(*MANIFESTS, *more), ready=True, slots=2, traffic=traffic(), now=NOW.timestamp())
    outcome = replace(state.outcome, version=41, target=42)
    return state._replace(outcome=outcome, workers=WORKERS)
