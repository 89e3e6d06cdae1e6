"""No answer of the admin API contains a key, a token, or a value that may be a credential."""

from base64 import b64encode

import msgspec
import pytest
from certificates import authority, certificate
from view.seen import seen
from worlds import GATEWAY, grant, route, service, world

from fastroute.explain.question import parse_question
from fastroute.view.hidden import hidden_explanation
from fastroute.view.openapi import RESOURCES
from fastroute.view.paging import Window

PLANTED = (
    *("Bearer-planted-1", "planted-2", "planted-3", "planted-4", "planted-5", "planted-6", "planted-7", "planted-8"),
    *("planted-9", "planted-10"),
)
RULES = """
  - matches:
    - path: {value: /a}
      headers:
      - {name: Authorization, value: planted-2}
      - {name: X-Api-Key, type: RegularExpression, value: planted-3}
      queryParams: [{name: access_token, value: planted-4}]
    - {path: {value: /b}, headers: [{name: Cookie, value: planted-9}]}
    - {path: {value: /c}}
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        set: [{name: Authorization, value: Bearer-planted-1}, {name: X-Plain, value: planted-5}]
        add: [{name: X-More, value: planted-6}]
    - type: ResponseHeaderModifier
      responseHeaderModifier: {set: [{name: Set-Cookie, value: planted-7}]}
    sessionPersistence: {sessionName: stays}
    backendRefs:
    - name: apple-echo
      namespace: apples
      port: 80
      filters:
      - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Team, value: planted-8}]}}
"""
HTTPS = (
    GATEWAY.replace("name: web", "name: tls")
    .replace("8080", "8443")
    .replace("protocol: HTTP,", "protocol: HTTPS, tls: {certificateRefs: [{name: edge}]},")
)
TOKEN = """
apiVersion: v1
kind: Secret
metadata: {name: token, namespace: infra}
type: kubernetes.io/tls
data: {tls.crt: cGxhbnRlZC0xMA==, tls.key: cGxhbnRlZC0xMA==}
"""  # planted-10


def planted_world():
    made = certificate("a.example")
    chain, key = b64encode(made.chain).decode(), b64encode(made.key).decode()
    secret = TOKEN.replace("name: token", "name: edge").replace("tls.crt: cGxhbnRlZC0xMA==", f"tls.crt: {chain}")
    secret = secret.replace("tls.key: cGxhbnRlZC0xMA==", f"tls.key: {key}")
    refers = HTTPS.replace("name: tls", "name: other").replace("8443", "8444").replace("{name: edge}", "{name: token}")
    texts = (GATEWAY, HTTPS, refers, secret, TOKEN, service("apples/apple-echo", 1), grant("apples", "infra"))
    routes = route("infra/a", RULES), route("infra/b", RULES, parent="{name: tls}")
    return world(*texts, *routes), made


def secrets_in(text: str, key: bytes) -> list[str]:
    lines = [line for line in key.decode().splitlines() if "---" not in line]
    return [one for one in (*PLANTED, *lines, "PRIVATE KEY", b64encode(key).decode()) if one in text]


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.name)
def test_no_resource_contains_a_secret(resource) -> None:
    resources, made = planted_world()
    state = seen(resources)
    text = msgspec.json.encode(resource.view(state, Window())).decode()
    assert secrets_in(text, made.key) == []
    session_keys = {rule.session.key for rule in state.snapshot.rules.values() if rule.session}
    assert session_keys
    assert not any(b64encode(one).decode() in text or one.hex() in text for one in session_keys)
    assert authority().pem not in text


@pytest.mark.parametrize("path", ["/a", "/a?access_token=x", "/b", "/c", "/none"], ids=lambda path: path.strip("/"))
@pytest.mark.parametrize("scheme", ["http://a.example:8080", "https://a.example:8443"], ids=["http", "https"])
@pytest.mark.parametrize(
    "given", [(), (("Authorization", "x"), ("X-Api-Key", "x"), ("Cookie", "x"))], ids=["bare", "given"]
)
def test_no_explanation_contains_a_secret(path: str, scheme: str, given: tuple[tuple[str, str], ...]) -> None:
    resources, made = planted_world()
    state = seen(resources)
    told = parse_question("GET", scheme + path, given).answer(state.snapshot, state.graph)
    assert secrets_in(msgspec.json.encode(hidden_explanation(told)).decode(), made.key) == []


def test_the_names_of_fields_remain() -> None:
    resources, _ = planted_world()
    state = seen(resources)
    told = hidden_explanation(parse_question("GET", "http://a.example:8080/c", ()).answer(state.snapshot, state.graph))
    assert told.filters is not None
    assert told.filters[0]["set"] == [{"name": "Authorization", "value": "***"}, {"name": "X-Plain", "value": "***"}]
    near = " ".join(one.reason for one in told.considered)
    assert "header authorization is missing" in near
