"""explain() for manifests: the requests of the scenarios, with the expected decisions, shares and near misses."""

import json

import msgspec
import pytest
from explain.asking import ask
from explain.test_matching import rule
from worlds import APPLES, BANANAS, FRUITS, GATEWAY, grant, graph_of, route, service

from fastroute.compiler.compile import compile_snapshot
from fastroute.explain.explanation import Explanation, explain
from fastroute.explain.request import parse_url
from fastroute.explain.share import Encryption
from fastroute.pages import explain_page
from fastroute.place import Place, Transport
from fastroute.resources.meta import Key
from fastroute.settings import Addressing, GraphSettings
from fastroute.snapshot import Listener, ListenerTLS, Mode, Snapshot
from fastroute.text import Table

TO_APPLES, TO_BANANAS = grant("apples", "infra", "apple-echo"), grant("bananas", "infra", "banana-echo")
WORLD = (GATEWAY, FRUITS, APPLES, BANANAS)


def shares(explanation: Explanation) -> dict[str, tuple[str, int | None, str | None]]:
    assert explanation.backends is not None
    return {share.backend: (share.fraction, share.status, share.reason) for share in explanation.backends}


REFUSED = (500, "reference_refused")


@pytest.mark.parametrize(
    ("grants", "decision", "bananas", "apples"),
    [
        ((), ("respond", *REFUSED), REFUSED, REFUSED),
        ((TO_APPLES,), ("forward", None, None), REFUSED, (None, None)),
        ((TO_BANANAS,), ("forward", None, None), (None, None), REFUSED),
        ((TO_APPLES, TO_BANANAS), ("forward", None, None), (None, None), (None, None)),
        ((TO_APPLES, grant("bananas", "infra", "other")), ("forward", None, None), REFUSED, (None, None)),
        ((grant("apples", "infra"), grant("bananas", "infra")), ("forward", None, None), (None, None), (None, None)),
    ],
    ids=[
        "weights-without-grants",
        "grant-in-apples-only",
        "grant-in-bananas-only",
        "weights-70-30",
        "grant-names-another-service",
        "grant-for-every-service",
    ],
)
def test_a_refused_share_is_shown_with_what_it_is_answered(
    grants: tuple[str, ...],
    decision: tuple[str, int | None, str | None],
    bananas: tuple[int | None, str | None],
    apples: tuple[int | None, str | None],
) -> None:
    explanation = ask("http://web.example:8080/fruits", *WORLD, *grants)
    assert (explanation.decision, explanation.status, explanation.reason) == decision
    assert shares(explanation) == {
        "bananas/banana-echo:80": ("7/10", *bananas),
        "apples/apple-echo:80": ("3/10", *apples),
    }


def test_the_whole_shape() -> None:
    explanation = ask("http://web.example:8080/fruits/1?x=1", *WORLD, TO_APPLES)
    [refused] = graph_of(*WORLD, TO_APPLES).routes["HTTPRoute", Key("infra", "fruits")].problems
    assert json.loads(msgspec.json.encode(explanation)) == {
        "decision": "forward",
        "status": None,
        "reason": None,
        "gateway": "infra/web",
        "listener": "proxy",
        "route": "infra/fruits",
        "rule": "0",
        "match": {
            "index": 0,
            "hostname": None,
            "path": {"type": "PathPrefix", "value": "/fruits"},
            "method": None,
            "headers": [],
            "queryParams": [],
        },
        "backends": [
            {
                "backend": "bananas/banana-echo:80",
                "weight": 70,
                "share": 0.7,
                "fraction": "7/10",
                "endpoints": None,
                "tls": None,
                "status": 500,
                "reason": "reference_refused",
                "message": refused.message,
                "fix": refused.fix,
                "filters": [],
            },
            {
                "backend": "apples/apple-echo:80",
                "weight": 30,
                "share": 0.3,
                "fraction": "3/10",
                "endpoints": ["127.0.0.1:18001"],
                "tls": None,
                "status": None,
                "reason": None,
                "message": None,
                "fix": None,
                "filters": [],
            },
        ],
        "filters": [],
        "considered": [],
    }


def test_other_paths_are_not_found_and_the_near_miss_says_why() -> None:
    explanation = ask("http://web.example:8080/fruitsalad", *WORLD)
    assert (explanation.decision, explanation.status, explanation.reason) == ("respond", 404, "no_rule")
    assert (explanation.gateway, explanation.listener, explanation.route) == ("infra/web", "proxy", None)
    [miss] = explanation.considered
    assert (miss.route, miss.rule, miss.match) == ("infra/fruits", "0", 0)
    assert miss.reason == "path PathPrefix /fruits does not match /fruitsalad"


# The manifests of the scenario shared-auth-service.
SHOP = route(
    "frontend/shop",
    """
  - matches: [{path: {value: /auth}}]
    backendRefs: [{name: auth-service, namespace: shared, port: 8080}]
  - backendRefs: [{name: frontend-service, port: 80}]
""",
    hostnames="[app.example.com]",
)
SHOP_WORLD = (
    GATEWAY,
    SHOP,
    service("shared/auth-service", 18003, 18004, port=8080),
    service("frontend/frontend-service", 18005),
    grant("shared", "frontend"),
)


@pytest.mark.parametrize(
    ("path", "rule", "endpoints"),
    [
        ("/auth", "0", ("127.0.0.1:18003", "127.0.0.1:18004")),
        ("/auth/x", "0", ("127.0.0.1:18003", "127.0.0.1:18004")),
        ("/authx", "1", ("127.0.0.1:18005",)),
        ("/", "1", ("127.0.0.1:18005",)),
    ],
)
def test_a_route_of_two_rules(path: str, rule: str, endpoints: tuple[str, ...]) -> None:
    explanation = ask(f"http://app.example.com:8080{path}", *SHOP_WORLD)
    assert (explanation.decision, explanation.rule) == ("forward", rule)
    assert explanation.backends is not None
    assert [share.endpoints for share in explanation.backends] == [endpoints]


def test_another_host_is_not_found() -> None:
    explanation = ask("http://other.example.com:8080/", *SHOP_WORLD)
    assert (explanation.status, explanation.reason) == (404, "no_rule")
    assert explanation.considered[0].reason == "hostname app.example.com does not match other.example.com"


def test_a_winner_tells_what_it_beat_and_why() -> None:
    more = """
  - matches: [{path: {value: /auth}, headers: [{name: x-a, value: "1"}]}]
"""
    explanation = ask(
        "http://app.example.com:8080/auth", *SHOP_WORLD, route("frontend/more", more), headers=(("X-A", "1"),)
    )
    assert explanation.route == "frontend/shop"
    assert [(miss.route, miss.rule, miss.reason) for miss in explanation.considered] == [
        ("frontend/shop", "1", "matches too, but the path prefix /auth is longer than /"),
        ("frontend/more", "0", "matches too, but hostname app.example.com is more specific than none"),
    ]


@pytest.mark.parametrize(
    ("winner", "loser", "reason"),
    [
        ("path: {value: /a, type: Exact}", "path: {value: /a}", "path type Exact comes before PathPrefix"),
        ("path: {value: /a}, method: GET", "path: {value: /a}", "a match with a method comes first"),
        (
            "headers: [{name: a, value: '1'}]",
            "queryParams: [{name: q, value: '1'}]",
            "the match with more headers comes first",
        ),
        ("path: {value: /}", "path: {value: /}", "of equally old routes the one whose namespace/name sorts first"),
    ],
)
def test_each_rule_of_precedence_has_its_words(winner: str, loser: str, reason: str) -> None:
    manifests = [route(f"infra/{name}", f"\n  - matches: [{{{it}}}]") for name, it in (("a", winner), ("b", loser))]
    explanation = ask("http://web:8080/a?q=1", GATEWAY, *manifests, headers=(("A", "1"),))
    assert explanation.route == "infra/a"
    assert explanation.considered[0].route == "infra/b"
    assert reason in explanation.considered[0].reason


def test_a_route_that_no_listener_admits_is_named_with_its_condition() -> None:
    gateway = GATEWAY.replace("{namespaces: {from: All}}", "{namespaces: {from: Same}}")
    explanation = ask("http://web:8080/x", gateway, route("apples/r", "\n  - {}"))
    assert (explanation.decision, explanation.status, explanation.reason) == ("respond", 404, "no_rule")
    [miss] = explanation.considered
    assert miss.route == "apples/r"
    assert miss.reason.startswith("not served: Accepted=False/NotAllowedByListeners: ")


def test_a_route_that_takes_the_request_is_no_near_miss_by_another_of_its_parents() -> None:
    web = "{name: web, namespace: infra}"
    twice = f"{web[:-1]}, sectionName: WHICH}}, {web[:-1]}, sectionName: other}}"
    taken = route("infra/r", "\n  - {}").replace(web, twice)
    explanation = ask("http://web:8080/x", GATEWAY, taken.replace("WHICH", "proxy"))
    assert (explanation.route, explanation.considered) == ("infra/r", ())
    misses = ask("http://web:8080/x", GATEWAY, taken.replace("WHICH", "nor")).considered
    assert [miss.listener for miss in misses] == ["nor", "other"]


def test_a_route_that_is_refused_itself_is_named_if_it_would_take_the_request() -> None:
    refused = route(
        "infra/r",
        "\n  - matches: [{path: {value: /a}}, {path: {value: /b}}]\n    filters: [{type: ExtensionRef, "
        "extensionRef: {group: x.io, kind: Thing, name: t}}]",
    )
    [miss] = ask("http://web:8080/b", GATEWAY, refused).considered
    assert (miss.route, miss.rule, miss.match) == ("infra/r", "0", 1)
    assert "Accepted=False/UnsupportedValue" in miss.reason
    assert ask("http://web:8080/c", GATEWAY, refused).considered == ()


@pytest.mark.parametrize(
    "path",
    ["{value: /a/%2e%2e/%2e%2e}", "{type: RegularExpression, value: '('}"],
    ids=["impossible path", "invalid pattern"],
)
def test_a_match_that_nothing_can_meet_is_no_near_miss(path: str) -> None:
    refused = route("infra/r", f"\n  - matches: [{{path: {path}}}, {{path: {{value: /b}}}}]")
    [miss] = ask("http://web:8080/b", GATEWAY, refused).considered
    assert (miss.match, "Accepted=False/UnsupportedValue" in miss.reason) == (1, True)


@pytest.mark.parametrize(
    ("url", "reason", "words"),
    [
        ("http://web:9999/", "not_listening", "does not accept http on port 9999"),
        ("https://web/", "not_listening", "does not accept https on port 443"),
        ("http://other.org:8080/", "no_listener", "does not match the host other.org"),
    ],
)
def test_nobody_listens(url: str, reason: str, words: str) -> None:
    gateway = GATEWAY.replace("name: proxy,", "name: proxy, hostname: '*.example.com',")
    explanation = ask(url, gateway)
    assert (explanation.decision, explanation.reason) == ("respond", reason)
    assert explanation.status == (None if reason == "not_listening" else 404)
    assert explanation.gateway is None
    [miss] = explanation.considered
    assert (miss.gateway, miss.listener, miss.route) == ("infra/web", "proxy", None)
    assert words in miss.reason


TLS = "protocol: HTTPS, tls: {certificateRefs: [{name: c}]}"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("protocol: HTTP", TLS), "ResolvedRefs=False/InvalidCertificateRef"),
        (
            ("- {name: proxy", f"- {{name: twin, port: 8080, {TLS}}}\n  - {{name: proxy"),
            "Conflicted=True/ProtocolConflict",
        ),
    ],
)
def test_a_listener_that_is_not_served_says_so(change: tuple[str, str], words: str) -> None:
    explanation = ask("http://web:8080/", GATEWAY.replace(*change))
    assert explanation.reason == "not_listening"
    reasons = [miss.reason for miss in explanation.considered if miss.gateway == "infra/web"]
    assert any(words in reason for reason in reasons), reasons


@pytest.mark.parametrize(
    ("url", "host", "status", "reason", "listener"),
    [
        ("https://a.example.com/", "a.example.com", 404, "no_rule", "a"),
        ("https://a.example.com/", "b.example.com", 421, "misdirected", "a"),
        ("https://b.example.com/", "a.example.com", 421, "misdirected", "wild"),
        ("https://b.example.com/", "nobody.net", 404, "no_listener", None),
        ("https://nobody.net/", "nobody.net", None, "no_listener", None),
        ("https://nobody.net/", "a.example.com", None, "no_listener", None),
    ],
)
def test_the_name_of_a_connection_and_the_host_of_its_request(
    url: str, host: str, status: int | None, reason: str, listener: str | None
) -> None:
    """The SNI name selects the listener; a request for a host of another listener is misdirected."""
    made = {
        name: Listener(
            id=name,
            gateway="infra/web",
            name=name,
            place=Place(Transport.TCP, "127.0.0.1", 443),
            spec_port=443,
            hostname=hostname,
            mode=Mode.TERMINATE,
            tls=ListenerTLS(certificates=("certs/a",)),
        )
        for name, hostname in (("a", "a.example.com"), ("wild", "*.example.com"))
    }
    request, port = parse_url("GET", url, (("Host", host),))
    explanation = explain(Snapshot(listeners=made), graph_of(), request, port)
    assert (explanation.status, explanation.reason, explanation.listener) == (status, reason, listener)


def test_a_misdirected_request_has_the_routes_of_its_listener_as_near_misses() -> None:
    only = Listener(
        id="a",
        gateway="infra/web",
        name="a",
        place=Place(Transport.TCP, "127.0.0.1", 443),
        spec_port=443,
        hostname="a.example.com",
        mode=Mode.TERMINATE,
        tls=ListenerTLS(certificates=("certs/a",)),
    )
    wild = msgspec.structs.replace(only, id="wild", name="wild", hostname="*.example.com")
    taking = rule("infra/r", hostnames=("a.example.com",), of="a")
    snapshot = Snapshot(listeners={"a": only, "wild": wild}, rules={taking.id: taking})
    request, port = parse_url("GET", "https://a.example.com/", (("Host", "b.example.com"),))
    explanation = explain(snapshot, graph_of(), request, port)
    assert explanation.reason == "misdirected"
    reasons = [miss.reason for miss in explanation.considered if miss.route == "infra/r"]
    assert reasons == ["hostname a.example.com does not match b.example.com"]


def test_a_url_without_a_port_means_the_only_port_there_is() -> None:
    assert ask("http://web/fruits", *WORLD, TO_APPLES).route == "infra/fruits"


def test_a_port_may_be_named_as_it_is_bound() -> None:
    graph = graph_of(*WORLD)
    snapshot = compile_snapshot(graph, 1000).snapshot
    request, _ = parse_url("GET", "http://web/fruits")
    assert explain(snapshot, graph, request, 8080).route == "infra/fruits"
    assert explain(snapshot, graph, request, 9080).route == "infra/fruits"
    assert explain(snapshot, graph, request, 9081).reason == "not_listening"


OTHER_GATEWAY = GATEWAY.replace("name: web", "name: api")
POOL = GraphSettings(addressing=Addressing(pool="127.0.1.0/28"))


def test_gateways_with_addresses_of_their_own() -> None:
    manifests = (GATEWAY, OTHER_GATEWAY, route("infra/r", "\n  - {}", parent="{name: web}"))
    assert ask("http://web:8080/", *manifests, settings=POOL).gateway == "infra/web"
    narrowed = ask("http://web:8080/", *manifests, settings=POOL, gateways=("infra/api",))
    assert (narrowed.gateway, narrowed.reason) == ("infra/api", "no_rule")
    both = ask("http://web:8080/", *manifests, settings=POOL, gateways=("infra/api", "infra/web"))
    assert (both.gateway, both.route) == ("infra/web", "infra/r")
    addresses = {
        gateway: ask(f"http://{address}:8080/", *manifests, settings=POOL).gateway
        for gateway, address in _addresses(*manifests).items()
    }
    assert addresses == {"infra/web": "infra/web", "infra/api": "infra/api"}


def _addresses(*manifests: str) -> dict[str, str]:
    graph = graph_of(*manifests, settings=POOL)
    return {str(key): gateway.bind[0] for key, gateway in graph.gateways.items()}


def test_exact_shares_of_odd_weights() -> None:
    weights = (1, 1, 1, 0, 4)
    refs = ", ".join(f"{{name: apple-echo, port: 80, weight: {weight}}}" for weight in weights)
    explanation = ask("http://web:8080/", GATEWAY, APPLES, route("apples/r", f"\n  - backendRefs: [{refs}]"))
    assert explanation.backends is not None
    assert [share.fraction for share in explanation.backends] == ["1/7", "1/7", "1/7", "0", "4/7"]
    assert sum(share.share for share in explanation.backends) == pytest.approx(1)


POLICY = """
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {namespace: apples, name: encrypted}
spec:
  targetRefs: [{group: "", kind: Service, name: apple-echo}]
  validation: {hostname: apples.example.com, VALIDATION}
"""


@pytest.mark.parametrize(
    ("validation", "expected"),
    [
        ("wellKnownCACertificates: System", Encryption(policy="apples/encrypted", server_name="apples.example.com")),
        ('caCertificateRefs: [{group: "", kind: ConfigMap, name: missing}]', None),
    ],
)
def test_what_is_sent_over_tls_says_by_which_policy(validation: str, expected: Encryption | None) -> None:
    to_apples = route("apples/r", "\n  - backendRefs: [{name: apple-echo, port: 80}]")
    explanation = ask("http://web:8080/", GATEWAY, APPLES, POLICY.replace("VALIDATION", validation), to_apples)
    assert explanation.backends is not None
    assert [share.tls for share in explanation.backends] == [expected]
    assert [share.reason for share in explanation.backends] == [None if expected else "backend_tls_policy"]
    asked = parse_url("GET", "http://web:8080/")[0]
    cells = [
        cell
        for block in explain_page(asked, explanation)
        if isinstance(block, Table)
        for row in block.rows
        for cell in row
    ]
    text = "127.0.0.1:18001 over TLS for apples.example.com (BackendTLSPolicy apples/encrypted)"
    assert (text in cells) is (expected is not None)


def test_near_misses_are_not_endless() -> None:
    rules = "".join(f"\n  - matches: [{{path: {{value: /{number}}}}}]" for number in range(16))
    routes = [route(f"infra/r{number}", rules) for number in range(4)]
    explanation = ask("http://web:8080/99", GATEWAY, *routes)
    assert len(explanation.considered) == 20


def test_a_name_that_no_https_listener_has_gets_no_tls() -> None:
    explanation = ask("https://b.example.com/", GATEWAY.replace("protocol: HTTP", f"hostname: a.example.com, {TLS}"))
    assert (explanation.decision, explanation.status) == ("respond", None)
