"""survey(): reads the objects of a cluster once, with the rights of whoever asks. Nothing is written.

For `check` and `explain`. What may not be read is left out and said. A kind that may not be read in all namespaces is
read in the namespace of the context. With --watch-namespace, each kind is read in these namespaces. Of Secrets and
ConfigMaps only those that are named and permitted are read, each by its name, so nobody needs the right to list
Secrets.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import trio

from fastroute.apiserver.client import ApiError, Client
from fastroute.apiserver.kinds import BY_KIND, CRD_GROUP, CRDS, FOLLOWED, Followed, collection, member
from fastroute.apiserver.objects import named, problem, typed
from fastroute.resources.core import Namespace, WithData
from fastroute.resources.gateway import GatewayClass, GatewayClassSpec
from fastroute.resources.meta import Key, Metadata, Resource
from fastroute.resources.problem import ManifestProblem
from fastroute.resources.world import Resources
from fastroute.settings import CLASS_NAME
from fastroute.source.kubernetes.lives import key_of
from fastroute.source.kubernetes.named import NAMING, is_possible
from fastroute.source.kubernetes.scope import EVERYWHERE, Part, Scope
from fastroute.source.kubernetes.served import discover, judge
from fastroute.source.store import Apply, Store

PAGE = 500  # objects
TIMEOUT = 60.0  # s, for a page
MOST_NAMED = 1_000  # Secrets, and ConfigMaps, that are read
NOT_READ = "NotRead"  # the reason of a warning
BUNDLE = "gateway.networking.k8s.io/bundle-version"
MISSING = 404


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What was read."""

    objects: tuple[Resource, ...]
    missing: Mapping[str, str]  # kinds that the API server does not have, and why
    bundle_version: str | None
    problems: tuple[ManifestProblem, ...]  # objects that break their schema
    left_out: tuple[ManifestProblem, ...]  # what may not be read

    @property
    def reads_classes(self) -> bool:
        """Whether GatewayClasses could be read."""
        return not any(one.kind == "GatewayClass" for one in self.left_out)

    def with_applied(self, applied: Iterable[Resource] = ()) -> Resources:
        """The objects of the cluster if `applied` were applied to it."""
        store = Store()
        store.apply(map(Apply, self.objects))
        store.apply([Apply(_as_applied(one, store.get(type(one), one.key))) for one in applied])
        return store.snapshot()


def _as_applied(one: Resource, before: Resource | None) -> Resource:
    """With the age of the object that it replaces."""
    if before is None:
        return one
    created = before.metadata.creation_timestamp
    return msgspec.structs.replace(one, metadata=msgspec.structs.replace(one.metadata, creation_timestamp=created))


class _Metadata(msgspec.Struct, frozen=True):
    annotations: dict[str, str] = {}
    rest: str = msgspec.field(name="continue", default="")


class _Page(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()
    items: list[msgspec.Raw] | None = None


async def survey(
    client: Client,
    namespace: str,
    controller_name: str,
    applied: Iterable[Resource] = (),
    scope: Scope = EVERYWHERE,
) -> Survey:
    """`namespace`: of the context; `applied`: what they name is read too. `scope`: what is read. Raises ApiError if
    the server cannot be reached."""
    served = judge(await discover(client), None)
    reading = _Reading(client, namespace)
    async with trio.open_nursery() as nursery:
        for kind, version in served.versions.items():
            if not (BY_KIND[kind].by_name or kind == "Secret"):
                for part in scope.parts(BY_KIND[kind]):
                    read = reading.read_part if scope.namespaces else reading.read_all
                    nursery.start_soon(read, BY_KIND[kind], version, part)
    found = Survey(
        objects=tuple(reading.objects),
        missing={kind: why for kind, why in served.missing.items() if not BY_KIND[kind].optional},
        bundle_version=await _bundle_version(client),
        problems=(),
        left_out=(),
    )
    classes = _assumed_class(controller_name) if any(one.kind == "GatewayClass" for one in reading.left_out) else ()
    together = found.with_applied((*applied, *classes))
    async with trio.open_nursery() as nursery:
        for kind, names in NAMING.items():
            row = BY_KIND[kind]
            own = {one.key for one in applied if isinstance(one, row.type)}
            keys = {one.key for one in names(together, controller_name).permitted if is_possible(one.key)} - own
            for key in sorted(keys)[:MOST_NAMED]:
                nursery.start_soon(reading.read_one, row, key)
            reading.leave_unread(row, sorted(keys)[MOST_NAMED:])
    return msgspec.structs.replace(
        found,
        objects=tuple(reading.objects),
        problems=tuple(reading.problems),
        left_out=tuple(sorted(reading.left_out, key=lambda one: [row.kind for row in FOLLOWED].index(one.kind or ""))),
    )


def _assumed_class(controller_name: str) -> tuple[Resource, ...]:
    """Where GatewayClasses may not be read: it decides whose certificates are read."""
    spec = GatewayClassSpec(controller_name=controller_name)
    return (GatewayClass(metadata=Metadata(name=CLASS_NAME), spec=spec),)


async def _bundle_version(client: Client) -> str | None:
    """Of the installed CRDs; None: not known."""
    path = f"{collection(CRD_GROUP, 'v1', CRDS)}/{BY_KIND['GatewayClass'].crd}"
    try:
        return msgspec.json.decode(await client.request("GET", path), type=_Page).metadata.annotations.get(BUNDLE)
    except (ApiError, msgspec.DecodeError):
        return None


class _Reading:
    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self._namespace = client, namespace
        self.objects: list[Resource] = []
        self.problems: list[ManifestProblem] = []
        self.left_out: list[ManifestProblem] = []

    async def read_part(self, row: Followed, version: str, part: Part) -> None:
        """The objects of a kind in one of the namespaces that are read. Of a Namespace whose labels may not be read,
        the name is known."""
        try:
            self._take(row, version, await self._list(row, version, part.namespace, part.selector))
        except ApiError as error:
            if not error.is_refusal:
                raise
            what = f"{row.words} of namespace {part.namespace}" if part.namespace else row.words
            if (key := key_of("Namespace", part.name)) is not None:
                self._omit(row, key, f"cannot be read, because the API server answers {error.status} {error.reason}")
                what = f"labels of namespace {key.name}"
            self._leave_out(row, f"{what} cannot be read, and are left out: {error}")

    async def read_all(self, row: Followed, version: str, part: Part) -> None:
        """All objects of a kind, or those of the namespace."""
        try:
            self._take(row, version, await self._list(row, version))
        except ApiError as error:
            if not error.is_refusal:
                raise
            await self._read_own(row, version, error)

    async def _read_own(self, row: Followed, version: str, refusal: ApiError) -> None:
        try:
            self._take(row, version, await self._list(row, version, self._namespace))
        except ApiError as error:
            if not error.is_refusal:
                raise
            self._leave_out(row, f"{row.words} cannot be read, and are left out: {refusal}")
        else:
            self._leave_out(row, f"only {row.words} of namespace {self._namespace} can be read: {refusal}")

    async def read_one(self, row: Followed, key: Key) -> None:
        """A Secret or ConfigMap. If it may not be read, it is known without data, so nothing calls it missing."""
        version = row.versions[0]
        try:
            content = msgspec.Raw(await self._client.request("GET", member(row.kind, version, key)))
        except ApiError as error:
            if error.status == MISSING:
                return
            if not error.is_refusal:
                raise
            self._omit(row, key, f"cannot be read, because the API server answers {error.status} {error.reason}")
            self._leave_out(row, f"{row.kind} {key} cannot be read, and is left out: {error}")
        else:
            self._take(row, version, [content])

    def leave_unread(self, row: Followed, keys: Sequence[Key]) -> None:
        """Those above MOST_NAMED."""
        for key in keys:
            self._omit(row, key, f"is not read: only {MOST_NAMED:,} {row.words} are read")
        if keys:
            self._leave_out(row, f"only {MOST_NAMED:,} {row.words} are read; {len(keys):,} more are left out")

    def _omit(self, row: Followed, key: Key, omission: str) -> None:
        assert issubclass(row.type, WithData | Namespace)
        metadata = Metadata(name=key.name, namespace=key.namespace)
        self.objects.append(row.type(metadata=metadata, api_version=row.versions[0], omission=omission))

    async def _list(self, row: Followed, version: str, namespace: str = "", selector: str = "") -> list[msgspec.Raw]:
        found: list[msgspec.Raw] = []
        rest, path = "", collection(row.group, version, row.plural, namespace)
        while True:
            query = {"limit": str(PAGE), **({"continue": rest} if rest else {})}
            query |= {"fieldSelector": selector} if selector else {}
            content = await self._client.request("GET", path, query=query, timeout=TIMEOUT)
            page = msgspec.json.decode(content, type=_Page)
            found += page.items or ()
            rest = page.metadata.rest
            if not rest:
                return found

    def _take(self, row: Followed, version: str, items: Iterable[msgspec.Raw]) -> None:
        for resource in self._typed(row, version, items):
            self.objects.append(resource)

    def _typed(self, row: Followed, version: str, items: Iterable[msgspec.Raw]) -> Iterator[Resource]:
        for item in items:
            key: Any = named(row, item).key
            try:
                yield typed(row, version, item)
            except msgspec.ValidationError as error:
                self.problems.append(problem(row, key, error, self._client.host))

    def _leave_out(self, row: Followed, message: str) -> None:
        problem = ManifestProblem(file=self._client.host, message=message, kind=row.kind, reason=NOT_READ)
        self.left_out.append(problem)
