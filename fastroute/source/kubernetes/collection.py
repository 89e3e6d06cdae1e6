"""Collection: the objects that one watch holds, and the changes for the Store from its notices.

Several watches may hold objects of one kind (Secrets by type, and by name). A listing removes the objects that this
watch held and the listing did not contain. Whether such an object must also leave the Store depends on the other
watches (source.py).
"""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from fastroute.apiserver.client import ApiError
from fastroute.apiserver.kinds import Followed
from fastroute.apiserver.objects import Held, Named, named, problem, typed
from fastroute.resources.core import ClusterTrustBundle, ConfigMap, Namespace, Secret, WithData
from fastroute.resources.meta import Key, Metadata, Resource
from fastroute.resources.problem import ManifestProblem
from fastroute.source.kubernetes import quota
from fastroute.source.kubernetes.backlog import Notice
from fastroute.source.kubernetes.quota import Quota
from fastroute.source.store import Apply, Delete

NOBODY = Key("", "")
DATA: dict[type[Resource], str] = {
    Secret: "certificates and keys in Secrets",
    ConfigMap: "CA certificates in ConfigMaps",
    ClusterTrustBundle: "CA certificates in ClusterTrustBundles",
}  # what is kept of their data


class Collection:
    """Objects of one kind in one served version. `restated` is called when the status of an object changed.
    `controller_name`: ours. `room`: for the data of a kind that has some. Whoever applies the deletion of an object
    tells it, because another collection may hold the same object. `role`: what must permit to read it."""

    def __init__(
        self,
        row: Followed,
        version: str,
        host: str,
        restated: Callable[[Key], None],
        controller_name: str,
        *,
        room: Quota | None = None,
        role: str = "ClusterRole of fastroute",
    ) -> None:
        self._role = role
        self.row, self.version = row, version
        self.held: dict[Key, Held] = {}
        self._omissions: dict[Key, str] = {}  # why an object is applied without data although it may have some
        self.problems: dict[Key, ManifestProblem] = {}  # objects whose last good version is kept
        self.is_listed = False  # after the first complete listing; objects held before are of another version
        self._host, self._restated, self._controller_name = host, restated, controller_name
        self._listed: set[Key] | None = None  # while a listing is in progress
        self._room, self._statuses = room, Quota(quota.STATUSES)

    def take(self, notices: Iterable[Notice]) -> Iterator[Apply | Delete]:
        """The changes for the Store."""
        for notice in notices:
            match notice.what:
                case "Begun":
                    self._listed = set()
                    self.problems.pop(NOBODY, None)
                case "Complete":
                    yield from self._complete(notice.since)
                case "Gone":
                    if (gone := self._named(notice.content)) is not None:
                        yield from self.drop(gone.key, notice.since)
                case _:
                    if (here := self._named(notice.content)) is not None:
                        yield from self._put(here, notice)

    def dropped(self) -> list[Delete]:
        """The deletion of every object, when this watch is removed."""
        return [event for key in list(self.held) for event in self.drop(key)]

    def refuse(self, key: Key, error: Exception) -> Iterator[Apply]:
        """An object that is followed by name cannot be read. What is known of it stays; if nothing is, it is applied
        without data or labels: nobody may be told that it does not exist."""
        why = self._why(error)
        if not issubclass(self.row.type, WithData | Namespace):
            return
        if key in self.held and self._omissions.get(key, why) == why:
            return
        metadata = Metadata(name=key.name, namespace=key.namespace)
        self.held[key], self._omissions[key] = Held(resource_version="", generation=0, uid=""), why
        yield Apply(self.row.type(metadata=metadata, api_version=self.version, omission=why))

    def _named(self, content: msgspec.Raw) -> Named | None:
        """None: its name cannot be read; a problem reports that until the next listing."""
        try:
            return named(self.row, content)
        except msgspec.DecodeError as error:
            message = f"a {self.row.kind} is ignored because its metadata cannot be read: {error}"
            self.problems[NOBODY] = ManifestProblem(file=self._host, message=message)
            return None

    def _put(self, here: Named, notice: Notice) -> Iterator[Apply]:
        key, held = here
        if self.row.has_status and not self._statuses.admit(key, len(held.raw_status)):
            held = held.without_status(self._controller_name)
        before = self.held.get(key)
        is_known = before is not None and self._is_followed and self.row.is_custom and held.has_same_spec(before)
        resource = None if is_known else self._typed(key, notice.content)
        self.held[key] = held
        self._omissions.pop(key, None)
        if self.row.has_status and (before is None or not before.has_same_status(held)):
            self._restated(key)
        if self._listed is not None:
            self._listed.add(key)
        if resource is not None:
            yield Apply(resource, notice.since)

    @property
    def _is_followed(self) -> bool:
        """Whether every change since the last listing was received. During a listing an equal generation proves
        nothing: after a restore from a backup, the object with that generation may be a different one."""
        return self.is_listed and self._listed is None

    def _typed(self, key: Key, content: msgspec.Raw) -> Resource | None:
        """None: it cannot be read; a problem reports that."""
        try:
            resource = typed(self.row, self.version, content)
        except msgspec.ValidationError as error:
            self.problems[key] = problem(self.row, key, error, self._host)
            return None
        self.problems.pop(key, None)
        if self._room is None or not isinstance(resource, WithData) or self._room.admit(key, resource.size):
            return resource
        whose = "its namespace" if key.namespace else "the cluster"
        what = f"{DATA[type(resource)]} of {whose} have more than {self._room.most >> 20} MiB"
        return resource.without_data(f"is not read: the {what}")

    def _complete(self, since: float) -> Iterator[Delete]:
        listed, self._listed = self._listed or set(), None
        self.is_listed = True
        for key in [key for key in self.held if key not in listed]:
            yield from self.drop(key, since)

    def drop(self, key: Key, since: float | None = None) -> Iterator[Delete]:
        """The deletion of an object, if it is held."""
        self.problems.pop(key, None)
        if self._listed is not None:
            self._listed.discard(key)
        self._statuses.drop(key)
        self._omissions.pop(key, None)
        if self.held.pop(key, None) is not None:
            yield Delete(self.row.type, key, since)

    def _why(self, error: Exception) -> str:
        """Why an object cannot be read, as text that follows its name."""
        if not isinstance(error, ApiError):
            return "cannot be read: the answer of the API server is malformed"
        if not error.status:
            return "cannot be read: the API server cannot be reached"
        way = f": the {self._role} needs list and watch on {self.row.plural}" if error.status == 403 else ""
        return f"cannot be read, because the API server answers {error.status} {error.reason}{way}"
