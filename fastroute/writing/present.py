"""Present: the newest known state of each object whose status is written, from the watch or from our own requests.

A response is kept until the watch has sent the same state or a newer one. The source does not keep the statuses of a
namespace that has too many large ones (source/kubernetes/quota.py); `whole` reads such an object again, by its name in
a list: a GET would need the permission `get`, which nothing else needs.
"""

import logging
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import msgspec

from fastroute.apiserver.client import ApiError
from fastroute.apiserver.kinds import BY_KIND, member
from fastroute.apiserver.objects import Found, Held, named
from fastroute.resources.meta import Key
from fastroute.status import ObjectId
from fastroute.writing.pen import Pen

KEPT = 64 * 1024  # bytes of a status in a response; a larger one is read again if it is needed before the watch has it

_log = logging.getLogger(__name__)


class Objects(Protocol):
    """The objects as the API server last sent them."""

    @property
    def served(self) -> Mapping[str, str]:
        """The version in which each kind is watched."""

    def held(self, kind: str, key: Key) -> Held | None: ...

    def all_held(self, kind: str) -> Mapping[Key, Held]: ...


class Newer(NamedTuple):
    """An object as read by one of our requests, and as the watch had last sent it before that, without its status."""

    brought: Held
    told: Held | None


class Present:
    """`controller_name`: ours."""

    def __init__(self, pen: Pen, objects: Objects, controller_name: str) -> None:
        self._pen, self._objects, self._name = pen, objects, controller_name
        self._newer: dict[ObjectId, Newer] = {}  # the results of our requests, until the watch has them too

    def current(self, id_: ObjectId) -> Held | None:
        """The newest known state of an object; its status may be missing.

        The state that the watch had sent before our request is older, even if its version is higher: after a restore
        from a backup the versions are lower.
        """
        held, newer = self._objects.held(*id_), self._newer.get(id_)
        if newer is None or held is None or held.uid != newer.brought.uid:
            self._newer.pop(id_, None)
            return held
        if revision(held) >= revision(newer.brought) and self._bare(held) != newer.told:
            del self._newer[id_]
            return held
        return newer.brought

    async def whole(self, id_: ObjectId, read: Held | None = None) -> Held | None:
        """The newest known state with its status, unless the status does not contain our controllerName. `read`: an
        earlier result, used again if there is no newer state. None: there is no such object. Raises ApiError."""
        held = self.current(id_)
        if held is None or held.has_whole_status:
            return held
        if read is not None and read.uid == held.uid and revision(read) >= revision(held):
            return read
        found = await self.read(id_)
        return None if found is None else named(BY_KIND[id_[0]], found).held

    async def read(self, id_: ObjectId) -> msgspec.Raw | None:
        """The object as the API server has it now; None: there is none. Raises ApiError."""
        kind, key = id_
        version = self._objects.served.get(kind)
        if version is None:
            return None
        path, _, name = member(kind, version, key).rpartition("/")
        try:
            answer = await self._pen.request("GET", path, query={"fieldSelector": f"metadata.name={name}"})
        except ApiError as error:
            if error.status == 404:  # the CRD was deleted
                return None
            raise
        found = msgspec.json.decode(answer, type=Found).items
        return found[0] if found else None

    def told(self, id_: ObjectId) -> Held | None:
        """What the watch has sent, to be passed to `remember` after a request."""
        held = self._objects.held(*id_)
        return None if held is None else self._bare(held)

    def remember(self, id_: ObjectId, answer: bytes | msgspec.Raw, told: Held | None) -> None:
        """`told`: what the watch had sent before the request. It may send a newer state before the response arrives."""
        try:
            brought = named(BY_KIND[id_[0]], msgspec.Raw(answer)).held
        except msgspec.DecodeError as error:
            _log.warning("%s %s: the response is not an object: %s", *id_, error)
            return
        self._newer[id_] = Newer(brought if len(brought.raw_status) <= KEPT else self._bare(brought), told)
        self.current(id_)  # forgets it if the watch has it already

    def is_from_us(self, id_: ObjectId) -> bool:
        """Whether the state that the watch has sent is the result of our last request."""
        newer, held = self._newer.get(id_), self._objects.held(*id_)
        self.current(id_)  # forgets it
        return newer is not None and held is not None and newer.brought.resource_version == held.resource_version

    def _bare(self, held: Held) -> Held:
        return held.without_status(self._name) if held.has_whole_status else held


def revision(held: Held) -> int:
    """Resource versions of one object increase (KEP-5504)."""
    return int(held.resource_version) if held.resource_version.isdecimal() else 0
