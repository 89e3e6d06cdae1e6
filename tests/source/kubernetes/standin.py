"""A stand-in for an API server that does on demand what a real one does seldom: refuses, fails, is late.

As a Client of the writing side sees it: objects by path, versions, conflicts. What real ones do is tested in
tests/cluster.
"""

from collections.abc import Callable

import msgspec
import trio

from fastroute.resources.meta import Key
from fastroute.source.kubernetes.client import ApiError
from fastroute.source.kubernetes.kinds import BY_KIND, member
from fastroute.source.kubernetes.objects import Held, named


class Server:
    """`refuse` may raise an ApiError for a request (method, path)."""

    def __init__(self, delay: float = 0.01) -> None:
        self.objects: dict[str, dict] = {}
        self.asked: list[tuple[str, str]] = []  # method, path
        self.refuse: Callable[[str, str], None] = lambda method, path: None
        self.delay = delay
        self._version = 0
        self.rewound = 0  # how often somebody noticed it

    def noticed(self):
        self.rewound += 1

    async def request(self, method, path, body=None, *, query=None, timeout=10.0, **_):  # noqa: ASYNC109
        self.asked.append((method, path))
        with trio.move_on_after(timeout):
            await trio.sleep(self.delay)
            self.refuse(method, path)
            if query:
                return msgspec.json.encode({"items": self._list(path, **query)})
            return msgspec.json.encode(self._answer(method, path, msgspec.to_builtins(body)))
        raise ApiError(0, "Timeout", "no answer")

    def put(self, path, one):
        """Somebody else writes it."""
        self._version += 1
        one["metadata"]["resourceVersion"] = str(self._version)
        self.objects[path] = one
        return one

    def restore(self, version):
        """From an older backup: every version is a lower one."""
        self._version = version
        for path, one in self.objects.items():
            self.put(path, one)

    def _list(self, path, fieldSelector):  # noqa: N803
        """At most one object, by its name."""
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
    """What a source that is always up to date holds of `server`'s HTTPRoutes, Gateways and ListenerSets."""

    served = {"HTTPRoute": "v1", "Gateway": "v1", "ListenerSet": "v1", "GatewayClass": "v1"}  # noqa: RUF012

    def __init__(self, server: Server) -> None:
        self._server = server
        self.renewed = 0
        self.frozen: dict[str, Held] = {}  # by path: where the watch is behind

    def held(self, kind: str, key: Key) -> Held | None:
        path = member(kind, "v1", key)
        if path in self.frozen:
            return self.frozen[path]
        one = self._server.objects.get(path)
        return named(BY_KIND[kind], msgspec.Raw(msgspec.json.encode(one))).held if one else None

    def renew(self) -> None:
        self.renewed += 1

    def all_held(self, kind: str) -> dict[Key, Held]:
        found = {}
        for one in self._server.objects.values():
            key = Key(one["metadata"]["namespace"], one["metadata"]["name"])
            if one["kind"] == kind and (held := self.held(kind, key)):
                found[key] = held
        return found
