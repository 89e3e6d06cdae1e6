"""A fake API server that does on demand what a real one does rarely: it refuses, fails or delays requests.

It implements what writers use of a Client: objects by path, versions, conflicts. tests/cluster tests the behaviour of
real API servers.
"""

from collections.abc import Callable
from typing import NoReturn

import msgspec
import trio

from fastroute.apiserver.client import ApiError
from fastroute.apiserver.kinds import BY_KIND, member
from fastroute.apiserver.objects import Held, named
from fastroute.resources.meta import Key
from fastroute.settings import CONTROLLER_NAME


class Server:
    """`refuse` may raise an ApiError for a request (method, path)."""

    def __init__(self, delay: float = 0.01) -> None:
        self.objects: dict[str, dict] = {}
        self.asked: list[tuple[str, str]] = []  # method, path
        self.refuse: Callable[[str, str], None] = lambda method, path: None
        self.delay = delay
        self.late = 0.0  # seconds from the effect of a request until its response arrives
        self._version = 0
        self.rewound = 0  # how often a client noticed

    def noticed(self):
        self.rewound += 1

    async def request(self, method, path, body=None, *, query=None, timeout=10.0, **_):  # noqa: ASYNC109
        self.asked.append((method, path))
        with trio.move_on_after(timeout):
            await trio.sleep(self.delay)
            self.refuse(method, path)
            if query:
                return msgspec.json.encode({"items": self._list(path, **query)})
            answer = msgspec.json.encode(self._answer(method, path, msgspec.to_builtins(body)))
            await trio.sleep(self.late)
            return answer
        raise ApiError(0, "Timeout", "no answer")

    def put(self, path, one):
        """Writes an object, as another client."""
        self._version += 1
        one["metadata"]["resourceVersion"] = str(self._version)
        self.objects[path] = one
        return one

    def restore(self, version):
        """Restores an older backup: all versions become lower."""
        self._version = version
        for path, one in self.objects.items():
            self.put(path, one)

    def _list(self, path, fieldSelector):  # noqa: N803
        """At most one object, selected by name."""
        found = self.objects.get(f"{path}/{fieldSelector.removeprefix('metadata.name=')}")
        return [found] if found else []

    def _answer(self, method, path, body):
        whole = path.removesuffix("/status")
        if method == "POST":
            whole = f"{path}/{body['metadata']['name']}"
            if whole in self.objects:
                raise ApiError(409, "AlreadyExists", "there is one")
            return self.put(whole, {**body, "metadata": {**body["metadata"], "uid": whole}})
        if whole not in self.objects:
            raise ApiError(404, "NotFound", "no such object")
        if method == "GET":
            return self.objects[whole]
        if method == "DELETE":
            return self.objects.pop(whole)
        if body["metadata"]["resourceVersion"] != self.objects[whole]["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "written meanwhile")
        return self.put(whole, {**self.objects[whole], "status": body["status"]} if path != whole else body)


class Objects:
    """The HTTPRoutes, Gateways and ListenerSets of `server`, as a source holds them that is always up to date."""

    served = {"HTTPRoute": "v1", "Gateway": "v1", "ListenerSet": "v1", "GatewayClass": "v1"}  # noqa: RUF012

    def __init__(self, server: Server) -> None:
        self._server = server
        self.renewed = 0
        self.frozen: dict[str, Held] = {}  # by path: the version that a lagging watch has
        self.keeps_statuses = True

    def held(self, kind: str, key: Key) -> Held | None:
        path = member(kind, "v1", key)
        if path in self.frozen:
            return self.frozen[path]
        one = self._server.objects.get(path)
        if one is None:
            return None
        held = named(BY_KIND[kind], msgspec.Raw(msgspec.json.encode(one))).held
        return held if self.keeps_statuses else held.without_status(CONTROLLER_NAME)

    def renew(self) -> None:
        self.renewed += 1

    async def watch_statuses(self, restated: Callable[[str, Key], None]) -> NoReturn:
        await trio.sleep_forever()

    def all_held(self, kind: str) -> dict[Key, Held]:
        found = {}
        for one in self._server.objects.values():
            key = Key(one["metadata"]["namespace"], one["metadata"]["name"])
            if one["kind"] == kind and (held := self.held(kind, key)):
                found[key] = held
        return found
