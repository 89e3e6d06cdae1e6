"""Fields that a manifest omits and that an API server would set to their defaults."""

import pytest
from resources.manifests import GATEWAY, HTTP_ROUTE, LISTENER_SET, NAMESPACE, SECRET, SERVICE, resource

from fastroute.resources.defaults import with_defaults


def test_metadata():
    route = resource(HTTP_ROUTE.replace("  namespace: infra\n", ""))
    assert (route.metadata.namespace, route.metadata.generation) == ("default", 1)
    whole = resource(
        HTTP_ROUTE.replace("  namespace: infra\n", "  generation: 7\n  creationTimestamp: 2026-01-31T12:00:00Z\n")
    )
    assert (whole.metadata.generation, whole.metadata.creation_timestamp) == (7, "2026-01-31T12:00:00Z")


def test_a_cluster_scoped_object_has_no_namespace():
    assert resource(NAMESPACE.replace("  name:", "  namespace: other\n  name:")).metadata.namespace == ""


def test_a_secret_has_one_data():
    assert resource(SECRET).data == {"tls.crt": "aGVsbG8=", "tls.key": "aGVsbG8="}


def test_the_value_is_not_changed_but_a_copy_is():
    value = {"metadata": {"name": "a"}, "status": "nonsense"}
    assert with_defaults("Service", value, cluster=False)["metadata"]["namespace"] == "default"
    assert value == {"metadata": {"name": "a"}, "status": "nonsense"}


def filters(text: str):
    return (
        resource(HTTP_ROUTE.replace("    - matches:", f"    - filters: [{text}]\n      matches:")).spec.rules[0].filters
    )


FIELDS = [
    ("{type: CORS, cors: {}}", lambda item: item.cors.max_age, 5),
    ("{type: CORS, cors: {maxAge: 7}}", lambda item: item.cors.max_age, 7),
    ("{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {}, backendRef: {name: a, port: 1}}}",
     lambda item: item.external_auth["backendRef"], {"name": "a", "port": 1, "group": "", "kind": "Service"}),
    ("{type: URLRewrite, urlRewrite: {}}", lambda item: item.url_rewrite.path, None),
    ("{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, fraction: {numerator: 1}}}",
     lambda item: item.request_mirror.fraction.denominator, 100),
]  # fmt: skip


@pytest.mark.parametrize(("text", "field", "value"), FIELDS)
def test_filters(text, field, value):
    [item] = filters(text)
    assert field(item) == value


def test_a_redirect_is_found():
    route = (
        HTTP_ROUTE[: HTTP_ROUTE.index("  rules:")]
        + "  rules: [{filters: [{type: RequestRedirect, requestRedirect: {}}]}]\n"
    )
    assert resource(route).spec.rules[0].filters[0].request_redirect.status_code == 302


def test_references_and_weights():
    [parent] = resource(HTTP_ROUTE).spec.parent_refs
    assert (parent.group, parent.kind) == ("gateway.networking.k8s.io", "Gateway")
    [backend] = resource(HTTP_ROUTE).spec.rules[0].backend_refs
    assert (backend.group, backend.kind, backend.weight) == ("", "Service", 1)


@pytest.mark.parametrize(
    "stanza", ["", "allowedRoutes: {}", "allowedRoutes: {namespaces: {}}", "allowedRoutes: {kinds: []}"]
)
def test_listeners_admit_routes_of_their_own_namespace(stanza):
    [listener] = resource(GATEWAY.replace("protocol: HTTP\n", f"protocol: HTTP\n      {stanza}\n")).spec.listeners
    assert listener.allowed_routes.namespaces.from_ == "Same"
    assert listener.allowed_routes.kinds == ()


def test_gateways():
    validation = "{validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: a}]}}"
    frontend = f"{{default: {{}}, perPort: [{{port: 1, tls: {validation}}}]}}"
    tls = f"{{frontend: {frontend}, backend: {{clientCertificateRef: {{name: a}}}}}}"
    more = f"  allowedListeners: {{}}\n  addresses: [{{}}]\n  tls: {tls}\n"
    spec = resource(GATEWAY + more).spec
    assert spec.allowed_listeners.namespaces.from_ == "None"
    assert spec.addresses[0].type == "IPAddress"
    assert spec.tls.frontend.per_port[0].tls.validation.mode == "AllowValidOnly"
    shown = spec.tls.backend.client_certificate_ref
    assert (shown.group, shown.kind, shown.name, shown.namespace) == ("", "Secret", "a", None)


def test_listener_sets():
    spec = resource(LISTENER_SET).spec
    assert (spec.parent_ref.group, spec.parent_ref.kind) == ("gateway.networking.k8s.io", "Gateway")
    assert spec.listeners[0].allowed_routes.namespaces.from_ == "Same"


def test_ports():
    assert resource(SERVICE).spec.ports[0].protocol == "TCP"
