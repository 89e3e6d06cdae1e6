"""A KubernetesSource that watches the API server in this process, and the changes it reports."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from apiserver.standin import GROUP, ApiServer
from prometheus_client import CollectorRegistry

from fastroute.apiserver.account import Account
from fastroute.apiserver.client import Client
from fastroute.metrics import Metrics
from fastroute.resources.httproute import HTTPRoute
from fastroute.resources.meta import Key
from fastroute.settings import CONTROLLER_NAME
from fastroute.source.kubernetes.scope import EVERYWHERE, Scope
from fastroute.source.kubernetes.source import KubernetesSource

ROUTES = f"/apis/{GROUP}/v1/httproutes"
GRPC_ROUTES = f"/apis/{GROUP}/v1/grpcroutes"
POLICIES = f"/apis/{GROUP}/v1/backendtlspolicies"
GRANTS = f"/apis/{GROUP}/v1/referencegrants"
GATEWAYS = f"/apis/{GROUP}/v1/gateways"
CLASSES = f"/apis/{GROUP}/v1/gatewayclasses"
SECRETS = "/api/v1/secrets"
CONFIG_MAPS = "/api/v1/configmaps"
SERVICES = "/api/v1/services"
CERTIFICATE = {"type": "kubernetes.io/tls", "data": {"tls.crt": "AA==", "tls.key": "AA=="}}


def naming(name: str, *config_maps: str) -> dict[str, Any]:
    """The spec of a BackendTLSPolicy with caCertificateRefs."""
    refs = [{"group": "", "kind": "ConfigMap", "name": one} for one in config_maps]
    target = {"group": "", "kind": "Service", "name": name}
    return {"targetRefs": [target], "validation": {"hostname": "a.example.com", "caCertificateRefs": refs}}


def account(api: ApiServer, folder: Path) -> Account:
    return Account(kubeconfig(api, folder))


def kubeconfig(api: ApiServer, folder: Path) -> Path:
    file = folder / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": api.url}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "ours"}}
    user = {"name": "u", "user": {"token": "secret"}}
    file.write_text(json.dumps({"current-context": "c", "clusters": [cluster], "contexts": [context], "users": [user]}))
    return file


class Followed:
    """A running source, and how many changes it reported."""

    def __init__(self, source: KubernetesSource, registry: CollectorRegistry) -> None:
        self.source, self.registry = source, registry
        self.changes = 0
        self.restated: list[Key] = []

    def changed(self, noticed: float) -> None:
        assert noticed <= trio.current_time()
        self.changes += 1

    @property
    def routes(self) -> list[str]:
        return [key.name for key in sorted(self.source.store.snapshot().http_routes)]

    def route(self, name: str) -> HTTPRoute:
        return self.source.store.snapshot().http_routes[Key("default", name)]

    def held(self, name: str) -> Any:
        held = self.source.held("HTTPRoute", Key("default", name))
        assert held is not None
        return held


async def until(condition: Callable[[], object]) -> None:
    with trio.fail_after(60):
        while not condition():  # noqa: ASYNC110 (of a server in another thread)
            await trio.sleep(0.005)


@asynccontextmanager
async def starting(api: ApiServer, folder: Path, scope: Scope = EVERYWHERE) -> AsyncIterator[Followed]:
    registry = CollectorRegistry()
    source = KubernetesSource(Client(account(api, folder)), Metrics(registry), CONTROLLER_NAME, scope)
    followed = Followed(source, registry)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.run)
        nursery.start_soon(source.watch, lambda noticed: followed.changed(noticed))  # a test may replace it
        nursery.start_soon(source.watch_statuses, lambda _, key: followed.restated.append(key))
        yield followed
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def following(api: ApiServer, folder: Path, scope: Scope = EVERYWHERE) -> AsyncIterator[Followed]:
    async with starting(api, folder, scope) as followed:
        with trio.fail_after(60):
            await followed.source.loaded.wait()
        yield followed
