"""No answer of the admin API contains a key, a token, or a value that may be a credential."""

from base64 import b64encode
from typing import get_args

import msgspec
import pytest
from certificates import authority, certificate
from view.seen import seen
from worlds import GATEWAY, grant, route, service, world

from fastroute.explain.question import parse_question
from fastroute.secrecy import HIDDEN, is_credential
from fastroute.snapshot import Filter
from fastroute.view.config import config
from fastroute.view.hidden import FIELDS, _hidden_step, hidden_explanation
from fastroute.view.openapi import RESOURCES
from fastroute.view.paging import Window
from fastroute.view.routes import routes

PLANTED = (
    *("Bearer-planted-1", "planted-2", "planted-3", "planted-4", "planted-5", "planted-6", "planted-7", "planted-8"),
    *("planted-9", "planted-10", "planted-11", "planted-12", "planted-13", "planted-14", "planted-15"),
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
REFUSED = """
  - matches:
    - headers: [{name: X-Api-Key, type: RegularExpression, value: "planted-11("}]
    - queryParams: [{name: pwd, type: RegularExpression, value: "planted-12["}]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: Host, value: "user planted-13"}]}
    backendRefs: [{name: apple-echo, namespace: apples, port: 80}]
"""
CALLS = """
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls, namespace: infra}
spec:
  parentRefs: [{name: web}]
  rules:
  - matches:
    - headers: [{name: x-api-key, type: RegularExpression, value: "planted-14("}]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: Host, value: "user planted-15"}]}
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


POLICY = """
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: secured, namespace: apples}
spec:
  targetRefs: [{group: '', kind: Service, name: apple-echo}]
  validation: {hostname: a.example, caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}
"""
CLIENTS = "  tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}}}\n"


def ca_of(namespace: str) -> str:
    lines = "".join(f"    {line}\n" for line in authority().pem.splitlines())
    return f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: ca, namespace: {namespace}}}
data:
  ca.crt: |
{lines}"""


def planted_world():
    made = certificate("a.example")
    chain, key = b64encode(made.chain).decode(), b64encode(made.key).decode()
    secret = TOKEN.replace("name: token", "name: edge").replace("tls.crt: cGxhbnRlZC0xMA==", f"tls.crt: {chain}")
    secret = secret.replace("tls.key: cGxhbnRlZC0xMA==", f"tls.key: {key}")
    refers = HTTPS.replace("name: tls", "name: other").replace("8443", "8444").replace("{name: edge}", "{name: token}")
    https = HTTPS.replace("  listeners:", f"{CLIENTS}  listeners:")
    texts = (
        GATEWAY,
        https,
        refers,
        POLICY,
        ca_of("apples"),
        ca_of("infra"),
        secret,
        TOKEN,
        service("apples/apple-echo", 1),
        grant("apples", "infra"),
    )
    routes = route("infra/a", RULES), route("infra/b", RULES, parent="{name: tls}"), route("infra/c", REFUSED), CALLS
    return world(*texts, *routes), made


def secrets_in(text: str, key: bytes) -> list[str]:
    """Line by line: JSON escapes the ends of lines."""
    lines = [line for pem in (key.decode(), authority().pem) for line in pem.splitlines() if "---" not in line]
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
    assert [one.tls.clients for one in state.snapshot.listeners.values() if one.tls and one.tls.clients]
    assert [one.tls for one in state.snapshot.backends.values() if one.tls]


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


def test_refused_values_are_said_to_be_refused() -> None:
    """Otherwise the tests above would find nothing."""
    shown = routes(seen(planted_world()[0]), Window()).items
    messages = {condition.message for one in shown for parent in one.parents for condition in parent.conditions}
    text = " ".join(messages)
    for expected in ("pattern *** is refused by RE2", "the value of Host is not a host"):
        assert expected in text


def test_the_configuration_has_no_value_of_a_match() -> None:
    shown = config(seen(planted_world()[0]), Window()).items
    tests = [test for one in shown for match in getattr(one, "matches", ()) for test in (*match.headers, *match.query)]
    assert {test.value for test in tests} == {HIDDEN}


def test_every_kind_of_filter_has_an_entry() -> None:
    """A new kind or field is hidden until somebody has decided that it may be shown."""
    assert set(FIELDS) == set(get_args(Filter))
    for kind, fields in FIELDS.items():
        assert set(fields) == set(kind.__struct_fields__)  # type: ignore[attr-defined]


def test_an_unknown_step_is_hidden() -> None:
    assert _hidden_step({"type": "New", "value": "planted-1"}) == {"type": "New"}


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "Cookie", "X-Api-Key", "X-Api-Keys", "api.key", "apiKey2", "accessKey", "privateKey", "key"),
        *("accesskey", "pwd", "userPwd", "pass", "passphrase", "sig", "X-Hub-Signature", "hmac", "otp", "pin", "sid"),
        *("PHPSESSID", "code", "csrf", "X-XSRF", "SAMLAssertion", "client_assertion", "ticket", "APIKey", "user_pass"),
    ],
)
def test_names_of_credentials(name: str) -> None:
    assert is_credential(name)


@pytest.mark.parametrize(
    "name",
    [
        *("Accept", "Accept-Encoding", "X-Monkey", "keyboard", "passenger", "compass", "country-code", "encoding"),
        *("design", "shipping", "pinned", "side", "inside", "X-Team", "page", "Content-Type", "signal", "keyword"),
    ],
)
def test_ordinary_names(name: str) -> None:
    assert not is_credential(name)


def test_the_names_of_fields_remain() -> None:
    resources, _ = planted_world()
    state = seen(resources)
    told = hidden_explanation(parse_question("GET", "http://a.example:8080/c", ()).answer(state.snapshot, state.graph))
    assert told.filters is not None
    assert told.filters[0]["set"] == [{"name": "Authorization", "value": "***"}, {"name": "X-Plain", "value": "***"}]
    near = " ".join(one.reason for one in told.considered)
    assert "header authorization is missing" in near
