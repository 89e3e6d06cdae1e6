"""The guides for use with other programs, tested with a real API server: the objects these programs write are served,
and the fields they read are set.

The programs themselves are not run. The tests create the same objects, with the rights that each guide grants.
"""

import http.client
import json
import ssl
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from certificates import trusting
from guides import GUIDES, Object, manifests, secrets, served, services, tls_secret

from cluster.account import LEASE, account_kubeconfig
from cluster.api import Api
from cluster.cluster import Cluster
from cluster.echo import echo, eventually, ready_addresses
from cluster.gateway import CLASS, POOL, start_gateway
from cluster.scratch import scratch

ROUTE = ("HTTPRoute", "checkout", "checkout")
WINDOW = 100  # requests; the sum of the weights of a canary


class Answer(NamedTuple):
    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def pod(self) -> str:
        """The name of the pod's Deployment."""
        return str(json.loads(self.body)["pod"]).rsplit("-", 2)[0]


class Browser:
    """One connection to a Gateway; `secure`: with TLS."""

    def __init__(self, api: Api, gateway: str, port: int, host: str, *, secure: bool = False) -> None:
        address = api.get("Gateway", *gateway.split("/"))["status"]["addresses"][0]["value"]
        self.host = host
        self.connection = http.client.HTTPConnection(address, port, timeout=10)
        self.connection.connect()
        if secure:
            self.connection.sock = trusting().wrap_socket(self.connection.sock, server_hostname=host)

    def get(self, path: str = "/", method: str = "GET", **fields: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        self.connection.request(method, path, headers={"Host": self.host, **named})
        answer = self.connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def certificate(self) -> bytes:
        """The certificate that the gateway presented."""
        assert isinstance(self.connection.sock, ssl.SSLSocket)
        return self.connection.sock.getpeercert(binary_form=True) or b""


def pods(namespace: str, name: str, port: int) -> list[Object]:
    """An echo server behind a Service with this name and port."""
    made = echo(namespace, name)
    made[1]["spec"]["ports"] = [{"port": port, "targetPort": 3000}]
    return made


@pytest.fixture(scope="module")
def world(cluster: Cluster) -> Iterator[Api]:
    """A fastroute that serves the objects of all guides, with pods behind their Services and without any Secret."""
    api = cluster.api
    api.apply_text(CLASS)
    objects = [one for guide in GUIDES for one in served(guide)]
    for name in {one["metadata"]["namespace"] for one in objects}:
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    backends = sorted(set(services(objects)))
    for backend in backends:
        api.apply(*pods(*backend))
    api.apply(*objects)
    eventually(
        lambda: sum(len(ready_addresses(api, name)) for name in {one[0] for one in backends}) == len(backends), 60
    )
    with scratch("guides") as folder:
        options = ("--address-pool", POOL, "--workers", "2", "--status-lease", LEASE)
        program = start_gateway(account_kubeconfig(cluster), folder / "fastroute.log", options)
        try:
            eventually(lambda: all(addresses(one) for one in api.list("Gateway")))
            yield api
        finally:
            program.end(10)


def addresses(gateway: Object) -> list[str]:
    return [one["value"] for one in gateway.get("status", {}).get("addresses", ())]


def listener(api: Api, gateway: str, name: str) -> dict[str, str]:
    """The reason of each condition of a listener, by type."""
    found = api.get("Gateway", *gateway.split("/"))["status"]["listeners"]
    return {each["type"]: each["reason"] for one in found if one["name"] == name for each in one["conditions"]}


def account(api: Api, name: str, guide: str, folder: Path) -> Api:
    """A client with the rights of the ClusterRole in a guide, and no others."""
    [role] = [one for one in manifests(guide) if one["kind"] == "ClusterRole"]
    who = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
    api.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "default"}},
        role,
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": role["metadata"]["name"],
            },
            "subjects": [who],
        },
    )
    (folder / name).write_text(api.kubeconfig_of(api.token("default", name)))
    return Api(folder / name)


def test_a_challenge_is_answered_before_there_is_a_certificate(world: Api) -> None:
    eventually(lambda: listener(world, "infra/edge", "shop").get("ResolvedRefs") == "InvalidCertificateRef")
    assert listener(world, "infra/edge", "http")["Programmed"] == "Programmed"
    browser = Browser(world, "infra/edge", 80, "shop.example.com")
    eventually(lambda: browser.get("/.well-known/acme-challenge/TOKEN").status == 200)
    assert browser.get("/.well-known/acme-challenge/TOKEN").pod == "cm-acme-http-solver-9rj4d"
    other = browser.get("/.well-known/acme-challenge/OTHER")
    assert (other.status, other.fields["location"]) == (
        301,
        "https://shop.example.com/.well-known/acme-challenge/OTHER",
    )


def test_a_solver_in_the_namespace_of_the_certificates_needs_no_grant(world: Api) -> None:
    [route] = [one for one in served("cert-manager.md") if one["metadata"]["name"].startswith("cm-acme")]
    route["metadata"]["namespace"] = "certs"
    route["spec"]["hostnames"] = ["pay.example.com"]
    route["spec"]["rules"][0]["backendRefs"][0]["namespace"] = "certs"
    world.apply(*pods("certs", "cm-acme-http-solver-9rj4d", 8089), route)
    browser = Browser(world, "infra/edge", 80, "pay.example.com")
    eventually(lambda: browser.get("/.well-known/acme-challenge/TOKEN").status == 200)
    world.delete("HTTPRoute", "certs", route["metadata"]["name"])
    eventually(lambda: browser.get("/.well-known/acme-challenge/TOKEN").status == 404)


@pytest.mark.parametrize(("gateway", "name", "port"), [("infra/edge", "shop", 443), ("infra/pay", "pay", 8443)])
def test_a_secret_that_comes_and_is_renewed_is_served(world: Api, gateway: str, name: str, port: int) -> None:
    [own] = {one for one in secrets(served("cert-manager.md")) if one[1] == f"{name}-tls"}
    world.apply(tls_secret(*own))
    eventually(lambda: listener(world, gateway, name).get("Programmed") == "Programmed")
    open_before = Browser(world, gateway, port, own[2], secure=True)
    shown = open_before.certificate()
    status = open_before.get().status

    world.apply(tls_secret(*own, days=60))
    eventually(lambda: Browser(world, gateway, port, own[2], secure=True).certificate() != shown)
    assert open_before.get().status == status  # on the connection from before the renewal
    assert listener(world, gateway, name)["ResolvedRefs"] == "ResolvedRefs"


def records(api: Api) -> dict[str, list[str]]:
    """The DNS records that external-dns makes for routes whose parentRefs have no sectionName or port, on listeners
    without a Selector."""
    gateways = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in api.list("Gateway")}
    found: dict[str, list[str]] = {}
    for route in api.list("HTTPRoute"):
        for parent in route.get("status", {}).get("parents", ()):
            accepted = [one for one in parent["conditions"] if one["type"] == "Accepted" and one["status"] == "True"]
            if not accepted or accepted[0]["observedGeneration"] != route["metadata"]["generation"]:
                continue
            gateway = gateways[
                parent["parentRef"].get("namespace", route["metadata"]["namespace"]), parent["parentRef"]["name"]
            ]
            ends = [one.get("hostname", "").removeprefix("*") for one in gateway["spec"]["listeners"]]
            for name in route["spec"].get("hostnames", ()):
                if any(name.endswith(end) for end in ends):
                    found[name] = addresses(gateway)
    return found


def test_external_dns_finds_names_and_addresses(world: Api, tmp_path: Path) -> None:
    reader = account(world, "external-dns", "external-dns.md", tmp_path)
    address = addresses(world.get("Gateway", "infra", "public"))
    assert address
    assert reader.list("Namespace")
    eventually(lambda: records(reader).get("web.example.com") == address)
    world.patch("HTTPRoute", "apples", "web", {"spec": {"hostnames": ["web.example.com", "web.example.net"]}})
    eventually(lambda: records(reader).get("web.example.com") == address)
    assert "web.example.net" not in records(reader)


def test_a_route_that_is_refused_loses_its_record(world: Api, tmp_path: Path) -> None:
    reader = account(world, "external-dns", "external-dns.md", tmp_path)
    eventually(lambda: "web.example.com" in records(reader))
    gateway = world.get("Gateway", "infra", "public")
    only = [{**gateway["spec"]["listeners"][0], "allowedRoutes": {"namespaces": {"from": "Same"}}}]
    world.patch("Gateway", "infra", "public", {"spec": {"listeners": only}})
    eventually(lambda: "web.example.com" not in records(reader))
    world.patch("Gateway", "infra", "public", {"spec": {"listeners": gateway["spec"]["listeners"]}})
    eventually(lambda: "web.example.com" in records(reader))


def set_weight(plugin: Api, weight: int) -> None:
    """Reads, changes and replaces the route, like the Argo Rollouts plugin."""
    route = plugin.get(*ROUTE)
    stable, canary = route["spec"]["rules"][0]["backendRefs"]
    stable["weight"], canary["weight"] = 100 - weight, weight
    labels = route["metadata"].setdefault("labels", {})
    labels.pop("rollouts.argoproj.io/gatewayapi-canary", None)
    if weight:
        labels["rollouts.argoproj.io/gatewayapi-canary"] = "in-progress"
    plugin.request("PUT", "/apis/gateway.networking.k8s.io/v1/namespaces/checkout/httproutes/checkout", route)


def counted(browser: Browser) -> Counter[str]:
    """The number of responses of each Deployment in a window of requests."""
    return Counter(browser.get().pod for _ in range(WINDOW))


def test_each_step_of_a_canary_is_served_exactly(world: Api, tmp_path: Path) -> None:
    plugin = account(world, "argo-rollouts", "argo-rollouts.md", tmp_path)
    browser = Browser(world, "checkout/edge", 80, "checkout.example.com")
    for weight in (0, 1, 5, 20, 50, 99, 100, 0):
        set_weight(plugin, weight)
        wanted = Counter({"checkout-stable": WINDOW - weight, "checkout-canary": weight})
        eventually(lambda wanted=wanted: counted(browser) == wanted)
        assert [counted(browser) for _ in range(2)] == [+wanted] * 2, weight


def test_a_header_leads_to_the_canary_alone(world: Api) -> None:
    browser = Browser(world, "checkout/edge", 80, "by-header.example.com")
    assert {browser.get(X_Canary="always").pod for _ in range(20)} == {"checkout-canary"}
    assert counted(browser) == {"checkout-stable": 95, "checkout-canary": 5}


def test_the_translated_ingress_does_what_it_says(world: Api) -> None:
    [own] = secrets(served("migrating-from-ingress-nginx.md"))
    world.apply(tls_secret(*own))
    eventually(lambda: listener(world, "shop/shop", "https").get("Programmed") == "Programmed")
    plain = Browser(world, "shop/shop", 80, "shop.example.com").get("/cart?x=1")
    assert (plain.status, plain.fields["location"]) == (301, "https://shop.example.com/cart?x=1")

    browser = Browser(world, "shop/shop", 443, "shop.example.com", secure=True)
    assert Counter(browser.get("/api/items").pod for _ in range(WINDOW)) == {"api": 90, "api-v2": 10}
    assert json.loads(browser.get("/api/items").body)["path"] == "/items"
    assert {browser.get("/api/items", X_Canary="always").pod for _ in range(20)} == {"api-v2"}
    asked = {"Origin": "https://www.example.com", "Access_Control_Request_Method": "PUT"}
    preflight = browser.get("/api/items", "OPTIONS", **asked)
    assert (preflight.status, preflight.fields["access-control-allow-origin"]) == (204, asked["Origin"])
    page = browser.get("/")
    assert page.pod == "web"
    assert page.fields["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    assert page.fields["set-cookie"].startswith("shop=")
