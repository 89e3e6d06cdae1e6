"""explain() for what a rule does: filters, redirects, sessions, and responses of the gateway itself."""

import msgspec
import pytest
from explain.asking import ask
from worlds import APPLES, GATEWAY, route, service

from fastroute.explain.request import parse_url
from fastroute.pages import explain_page
from fastroute.settings import GraphSettings


def test_a_redirect_says_where_it_leads() -> None:
    redirect = route(
        "infra/r",
        """
  - matches: [{path: {value: /old}}]
    filters:
    - type: RequestRedirect
      requestRedirect: {scheme: https, statusCode: 301, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}
""",
    )
    explanation = ask("http://web:8080/old/page?x=1", GATEWAY, redirect)
    assert (explanation.decision, explanation.status, explanation.reason) == ("redirect", 301, "redirect")
    assert explanation.backends is None
    assert explanation.filters == (
        {"type": "RequestRedirect", "statusCode": 301, "location": "https://web/new/page?x=1"},
    )


def test_filters_are_shown_in_order_with_what_they_do() -> None:
    changed = route(
        "apples/r",
        """
  - matches: [{path: {value: /old}}]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: X-A, value: "1"}], remove: [X-B]}
    - type: URLRewrite
      urlRewrite: {hostname: inner, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}
    backendRefs:
    - name: apple-echo
      port: 80
      filters:
      - type: ResponseHeaderModifier
        responseHeaderModifier: {add: [{name: X-C, value: "2"}]}
""",
    )
    explanation = ask("http://web:8080/old/page", GATEWAY, APPLES, changed)
    assert explanation.filters == (
        {"type": "RequestHeaderModifier", "set": [{"name": "X-A", "value": "1"}], "add": [], "remove": ["X-B"]},
        {"type": "URLRewrite", "hostname": "inner", "path": "/new/page"},
    )
    assert explanation.backends is not None
    assert explanation.backends[0].filters == (
        {"type": "ResponseHeaderModifier", "set": [], "add": [{"name": "X-C", "value": "2"}], "remove": []},
    )


@pytest.mark.parametrize(
    ("rule", "status", "reason"),
    [
        ("\n  - {}", 500, "no_backend_refs"),
        ("\n  - backendRefs: [{name: apple-echo, port: 80, weight: 0}]", 500, "zero_weights"),
        ("\n  - backendRefs: [{name: none, port: 80}]", 500, "backend_not_found"),  # in the namespace of the route
        ("\n  - backendRefs: [{name: empty, port: 80}]", 503, "no_endpoint"),
        ("\n  - backendRefs: [{name: empty, port: 80}, {name: none, port: 80, weight: 2}]", 500, "no_backend"),
    ],
)
def test_what_the_gateway_answers_itself(rule: str, status: int, reason: str) -> None:
    explanation = ask("http://web:8080/", GATEWAY, APPLES, service("apples/empty"), route("apples/r", rule))
    assert (explanation.decision, explanation.status, explanation.reason) == ("respond", status, reason)
    assert explanation.route == "apples/r"


def test_a_backend_may_redirect_its_own_share() -> None:
    redirect = "filters: [{type: RequestRedirect, requestRedirect: {hostname: old.example, port: 80}}]"
    echo, missing = "name: apple-echo, port: 80", "name: missing, port: 80"
    refs = f"[{{{echo}}}, {{{echo}, {redirect}}}, {{{missing}, {redirect}}}]"
    explanation = ask("http://web:8080/x", GATEWAY, APPLES, route("apples/r", f"\n  - backendRefs: {refs}"))
    assert (explanation.decision, explanation.status) == ("forward", None)
    assert explanation.backends is not None
    assert [(share.status, share.reason) for share in explanation.backends] == [
        (None, None),
        (302, "redirect"),
        (500, "backend_not_found"),
    ]
    assert explanation.backends[1].filters[0]["location"] == "http://old.example/x"
    assert explanation.backends[1].endpoints is None
    assert explanation.backends[2].filters == ()


WRITTEN = {
    "request": "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-A, value: '1'}]}}",
    "response": "{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-C, value: '2'}]}}",
    "mirror": "{type: RequestMirror, requestMirror: {backendRef: {name: apple-echo, port: 80}}}",
    "rewrite": "{type: URLRewrite, urlRewrite: {hostname: inner}}",
    "redirect": "{type: RequestRedirect, requestRedirect: {statusCode: 301}}",
    "cors": "{type: CORS, cors: {allowOrigins: ['https://*.foo.com']}}",
}
ALL = ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "URLRewrite")


def filters_of(*names: str) -> str:
    return "[" + ", ".join(WRITTEN[name] for name in names) + "]"


@pytest.mark.parametrize(
    ("names", "refs", "shown"),
    [
        (("request", "response", "mirror", "rewrite"), "{name: apple-echo, port: 80}", ALL),
        (("request", "mirror", "redirect", "response"), None, ("RequestRedirect", "ResponseHeaderModifier")),
        (("response", "redirect", "mirror"), None, ("ResponseHeaderModifier", "RequestRedirect")),
        (("request", "response", "mirror", "rewrite"), "{name: none, port: 80}", (*ALL[:2], "URLRewrite")),
        (("request", "response", "mirror", "cors"), "{name: empty, port: 80}", (*ALL[:2], "CORS")),
        (("request", "response", "mirror", "rewrite"), None, (*ALL[:2], "URLRewrite")),
        (("mirror", "response"), "{name: none, port: 80}, {name: apple-echo, port: 80, weight: 0}", ALL[1:2]),
        (("mirror", "response"), "{name: none, port: 80}, {name: apple-echo, port: 80}", ("RequestMirror", ALL[1])),
    ],
)
def test_only_filters_that_act_are_shown(names: tuple[str, ...], refs: str | None, shown: tuple[str, ...]) -> None:
    """A redirect does not use changes of the request, and a local response is not mirrored. Response modifiers of a
    rule apply to every response."""
    rule = f"\n  - filters: {filters_of(*names)}" + (f"\n    backendRefs: [{refs}]" if refs else "")
    told = ask("http://web:8080/x", GATEWAY, APPLES, service("apples/empty"), route("apples/r", rule))
    assert told.filters is not None
    assert [filter["type"] for filter in told.filters] == list(shown)


@pytest.mark.parametrize(
    ("name", "names", "shown"),
    [
        ("apple-echo", ("request", "response", "mirror"), ("RequestHeaderModifier", *ALL[1:3])),
        ("none", ("request", "response", "mirror", "cors"), ()),
        ("empty", ("request", "response", "mirror", "cors"), ("RequestHeaderModifier", "CORS")),
        ("apple-echo", ("request", "redirect", "response"), ("RequestRedirect",)),
    ],
)
def test_only_filters_of_a_backend_that_act_are_shown(
    name: str, names: tuple[str, ...], shown: tuple[str, ...]
) -> None:
    rule = f"\n  - backendRefs: [{{name: {name}, port: 80, filters: {filters_of(*names)}}}]"
    told = ask("http://web:8080/x", GATEWAY, APPLES, service("apples/empty"), route("apples/r", rule))
    assert told.backends is not None
    assert [filter["type"] for filter in told.backends[0].filters] == list(shown)


def test_a_redirect_has_no_session_and_no_retry() -> None:
    settings = "\n    sessionPersistence: {sessionName: s}\n    retry: {attempts: 1}"
    rule = f"\n  - filters: {filters_of('redirect')}{settings}"
    told = ask("http://web:8080/x", GATEWAY, APPLES, route("apples/r", rule))
    assert (told.decision, told.session, told.retry) == ("redirect", msgspec.UNSET, msgspec.UNSET)


STICKY = (
    "\n  - backendRefs: [{name: apple-echo, port: 80}]\n    sessionPersistence: {sessionName: s, absoluteTimeout: 1h}"
)


@pytest.mark.parametrize(
    ("version", "holds"), [(None, "backend and endpoint"), ("v1.6.3", "backend and endpoint"), ("v1.7.0", "endpoint")]
)
def test_a_session_is_told_as_the_installed_edition_has_it(version: str | None, holds: str) -> None:
    told = ask(
        "http://web:8080/x", GATEWAY, APPLES, route("apples/r", STICKY), settings=GraphSettings(bundle_version=version)
    )
    assert told.session == {
        "type": "Cookie", "name": "s", "path": "/", "lifetime": 3600, "permanent": False, "holds": holds,
    }  # fmt: skip
    [page] = [
        block for block in explain_page(parse_url("GET", "http://web:8080/x")[0], told) if "session" in str(block)
    ]
    assert f"s (Cookie, path /) holds {holds}; lifetime: 3600 s" in str(page)


def test_a_preflight_is_answered_by_the_gateway() -> None:
    cors = "\n  - filters: [{type: CORS, cors: {allowOrigins: ['https://*.foo.com'], allowMethods: [PUT]}}]"
    asked = (("Origin", "https://www.foo.com"), ("Access-Control-Request-Method", "PUT"))
    world = (GATEWAY, APPLES, route("apples/r", cors + "\n    backendRefs: [{name: apple-echo, port: 80}]"))
    told = ask("http://web:8080/x", *world, method="OPTIONS", headers=asked)
    assert (told.decision, told.status, told.reason, told.backends) == ("respond", 204, "preflight", None)
    assert told.filters is not None
    assert {"name": "Access-Control-Allow-Methods", "value": "PUT"} in told.filters[0]["responseHeaders"]
    other = ask("http://web:8080/x", *world, method="PUT", headers=asked)
    assert other.decision == "forward"
    assert list(explain_page(parse_url("PUT", "http://web:8080/x")[0], other))


@pytest.mark.parametrize(("ports", "status"), [((8080,), 503), ((8080, 18001), None)])
def test_endpoints_that_are_refused_are_named(ports: tuple[int, ...], status: int | None) -> None:
    """Port 8080 is that of the listener."""
    rules = "\n  - backendRefs: [{name: echo, port: 80}]\n"
    told = ask("http://web:8080/", GATEWAY, route("apples/r", rules), service("apples/echo", *ports))
    [share] = told.backends or ()
    assert share.status == status
    assert share.endpoints == tuple(f"127.0.0.1:{port}" for port in ports if port != 8080)
    assert share.message
    assert "127.0.0.1:8080 (this gateway itself)" in share.message
