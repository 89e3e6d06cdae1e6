"""Infrastructure: keeps one Service for each Gateway, with its `spec.infrastructure` (--infrastructure).

graph/infrastructure.py defines its content. It is headless and has no selector: it uses no address and gets no traffic.
The Gateway owns it, so the garbage collector of the cluster deletes it with the Gateway. If a Gateway is recreated with
the same name, fastroute waits for that deletion. A Service of the same name that another client created is not changed.
"""

import logging
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec
import trio

from fastroute.apiserver.client import ApiError
from fastroute.difference import changed_keys
from fastroute.graph.infrastructure import InfrastructureService, infrastructure_service
from fastroute.graph.node import GatewayNode, Graph
from fastroute.resources.gateway import GROUP
from fastroute.resources.meta import Key
from fastroute.writing.pen import Pen

RETRY = 5.0  # s after an error

_log = logging.getLogger(__name__)


class Wanted(msgspec.Struct, frozen=True):
    """A Service and the Gateway that owns it."""

    service: InfrastructureService
    gateway: str
    uid: str

    @property
    def key(self) -> Key:
        return Key(self.service.namespace, self.service.name)

    @property
    def metadata(self) -> dict[str, Any]:
        owner = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "Gateway",
            "name": self.gateway,
            "uid": self.uid,
        }
        return {
            "name": self.service.name,
            "labels": dict(self.service.labels),
            "annotations": dict(self.service.annotations),
            "ownerReferences": [owner],
        }


def wanted_service(gateway: GatewayNode) -> Wanted:
    metadata = gateway.source.metadata
    return Wanted(infrastructure_service(gateway.source), metadata.name, metadata.uid)


class Infrastructure:
    """`post` sets what is wanted; `run` creates, updates and deletes Services while this replica leads."""

    def __init__(self, pen: Pen) -> None:
        self._pen = pen
        self._gateways: Mapping[Key, GatewayNode] = {}  # the Gateways that `_wanted` was made from
        self._wanted: dict[Key, Wanted] = {}  # by the Gateway's key
        self._made: dict[Key, Wanted] = {}
        self._leads = False
        self._news = trio.Event()
        self._complaints: dict[Key, str] = {}

    def post(self, graph: Graph) -> None:
        """Only changed Gateways are compared."""
        differs = False
        for key in changed_keys(self._gateways, graph.gateways):
            before = self._wanted.pop(key, None)
            if key in graph.gateways:
                self._wanted[key] = wanted_service(graph.gateways[key])
            differs |= before != self._wanted.get(key)
        self._gateways = graph.gateways
        if self._leads and differs:
            self._news.set()

    def lead(self, leads: bool) -> None:
        """A new leader checks every Service."""
        self._leads = leads
        self._made = {}
        self._news.set()

    async def run(self) -> NoReturn:
        while True:
            await self._news.wait()
            self._news = trio.Event()
            if self._leads and not await self._settle():
                await trio.sleep(RETRY)
                self._news.set()

    async def _settle(self) -> bool:
        """Whether every Service is as wanted."""
        wanted = {each.key: each for each in self._wanted.values()}
        fine = True
        for key in [key for key in self._made if key not in wanted]:
            fine &= await self._try(key, None)
        for key, each in wanted.items():
            if self._made.get(key) != each:
                fine &= await self._try(key, each)
        return fine

    async def _try(self, key: Key, wanted: Wanted | None) -> bool:
        try:
            if wanted is None:
                if (made := self._made.get(key)) is not None:
                    await self._delete(made)
                self._made.pop(key, None)
            else:
                await self._make(wanted)
                self._made[key] = wanted
        except ApiError as error:
            if error.status == 404:  # the Service or its namespace is gone, and then the Gateway, if any, goes too
                self._made.pop(key, None)
                return wanted is None
            if self._complaints.get(key) != error.reason:
                _log.warning("Service %s of a Gateway's infrastructure: %s", key, error)
            self._complaints[key] = error.reason
            return False
        except Exception:
            _log.exception("Service %s of a Gateway's infrastructure: unexpected error, retrying", key)
            return False
        self._complaints.pop(key, None)
        return True

    async def _make(self, wanted: Wanted) -> None:
        path = f"/api/v1/namespaces/{wanted.key.namespace}/services"
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": wanted.metadata,
            "spec": {"clusterIP": "None"},
        }
        try:
            await self._pen.request("POST", path, service)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            await self._mend(f"{path}/{wanted.key.name}", wanted)

    async def _mend(self, path: str, wanted: Wanted) -> None:
        read = msgspec.json.decode(await self._pen.request("GET", path))
        if not _owned(read, wanted.uid):
            if _is_of_predecessor(read, wanted.gateway):
                raise ApiError(409, "Leaving", f"the Service of the former Gateway {wanted.gateway} still exists")
            _log.warning("Service %s was not created by fastroute, so Gateway %s has none", wanted.key, wanted.gateway)
            return
        metadata = read["metadata"]
        asked = (dict(wanted.service.labels), dict(wanted.service.annotations))
        if (metadata.get("labels", {}), metadata.get("annotations", {})) == asked:
            return
        metadata["labels"], metadata["annotations"] = asked
        await self._pen.request("PUT", path, read)

    async def _delete(self, made: Wanted) -> None:
        path = f"/api/v1/namespaces/{made.key.namespace}/services/{made.key.name}"
        read = msgspec.json.decode(await self._pen.request("GET", path))
        if _owned(read, made.uid):
            precondition = {"preconditions": {"uid": read["metadata"]["uid"]}}
            await self._pen.request("DELETE", path, precondition)


def _owned(service: Mapping[str, Any], uid: str) -> bool:
    return any(owner.get("uid") == uid for owner in service["metadata"].get("ownerReferences") or ())


def _is_of_predecessor(service: Mapping[str, Any], gateway: str) -> bool:
    """Whether a former Gateway of this name owns it."""
    owners = service["metadata"].get("ownerReferences") or ()
    return any((owner.get("kind"), owner.get("name")) == ("Gateway", gateway) for owner in owners)
