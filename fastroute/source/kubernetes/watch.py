"""Watch: watches one collection of an API server until cancelled, and reports batches of Notices.

A listing is `Begun`, a `Listed` for each object, `Complete`; after it come `Put` and `Gone`. It is part of the watch if
the server supports WatchList (`sendInitialEvents`), else it is read in pages. The watch continues after every failure:
- a stream that ends or breaks is resumed at the last version (bookmarks keep that recent, also without changes).
- if the server no longer has that version (410), or a listing was interrupted, a new listing starts with `Begun`. Only
  `Complete` removes objects, so an interrupted listing removes nothing.
- after an error it waits, longer each time, with a random part, so that a hundred replicas do not return at once. When
  one watch of this replica succeeds, its others follow within a second.
A connection without answers is closed: TCP keepalive is on (account.py), and a watch that receives nothing for DEAF
opens a new stream.

After a restore of etcd from an older backup, the resource versions of the server are lower than the version of the
watch. The server then accepts the watch but sends neither events nor bookmarks until its versions are higher, and no
error reports what has changed. So a watch that receives nothing for DEAF also asks for the current version, and lists
again if that is lower. Silence alone means nothing: a server sends a bookmark every minute, but only if its cache of
the kind has a higher version than the one at which the stream began. Without changes of the kind, the version of the
cache rises when etcd reports its progress (by default every 10 minutes), or when a client lists the kind.
"""

import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sized
from itertools import islice
from typing import NoReturn

import msgspec
import trio

from fastroute.apiserver.client import JSON, ApiError, Client, Line, Stream
from fastroute.apiserver.contact import Contact
from fastroute.source.kubernetes.backlog import Backlog, Notice
from fastroute.source.slices import step_aside

PAGE = 500  # objects
LIST_TIMEOUT = 60.0  # s, for a page
OPEN_TIMEOUT = 60.0  # s until the response head arrives: the server may have to build its cache first
LISTING_SILENCE = 15.0  # s; a server that sends nothing for so long in a listing does not support WatchList
DEAF = 90.0  # s while connected without an event or bookmark: 1.5 intervals of bookmarks, and less than client.SILENCE
LIFE = (300, 600)  # s after which the server ends a stream; a random value in this range
FIRST_DELAY, LONGEST_DELAY = 0.02, 5.0  # s between two attempts
STEADY = 0.5  # s; a stream that lasts this long works
SLICE = 32  # events that are processed at a time
SLICE_SIZE = 128 * 1024  # bytes of them, after which the others wait: 3 ms
HEADS = 512  # events whose namespaces are read at a time
GONE = 410
NOT_WATCHLIST = (400, 422)  # the answers of servers that do not support sendInitialEvents
AHEAD = 5_000  # events that wait, above which no further ones are fetched from the stream
AHEAD_SIZE = 16 * 1024 * 1024  # bytes of them, the same
INITIAL_END = "k8s.io/initial-events-end"
AS_METADATA = "as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"


_log = logging.getLogger(__name__)

BEGUN = Notice("Begun")
Take = Callable[[list[Notice]], None]


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: msgspec.Raw = msgspec.Raw()
    namespace: msgspec.Raw = msgspec.Raw()
    resource_version: str = ""
    annotations: dict[str, str] = {}


class _Marked(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()


class _Refusal(msgspec.Struct, frozen=True):
    code: int = 0
    reason: str = "Unknown"
    message: str = ""


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


class _PageMetadata(msgspec.Struct, frozen=True, rename={"resource_version": "resourceVersion", "rest": "continue"}):
    resource_version: str = ""
    rest: str = ""


class _Page(msgspec.Struct, frozen=True):
    metadata: _PageMetadata = _PageMetadata()
    items: list[msgspec.Raw] | None = None


_EVENT = msgspec.json.Decoder(_Event)
_MARKED = msgspec.json.Decoder(_Marked)
_PAGE = msgspec.json.Decoder(_Page)
_REFUSAL = msgspec.json.Decoder(_Refusal)
_WHAT = {"ADDED": "Put", "MODIFIED": "Put", "DELETED": "Gone"}


class Watch:
    """One collection: the objects at `path` that match `selector`. `name` is used in logs and metrics."""

    def __init__(
        self, client: Client, contact: Contact, name: str, path: str, *, selector: str = "", metadata_only: bool = False
    ) -> None:
        self.name = name
        self._client, self._contact, self._path = client, contact, path
        self._selection = {"fieldSelector": selector} if selector else {}
        self._metadata_only = metadata_only
        self._version: str | None = None  # where to resume; None: a listing is needed
        self._scope = trio.CancelScope()  # of the present stream or listing
        self._last = 0  # the highest version seen, as a number
        self._unheard = 0.0  # s for which streams were open since the last event or bookmark
        self._in_stream = True  # listings are part of the watch
        self._opened: float | None = None  # when the last stream was opened
        self._tries = 0  # consecutive failures
        self._is_silent = False  # the last attempt got no answer at all

    async def run(self, take: Take, refused: Callable[[ApiError], None]) -> NoReturn:
        """`take` is called with each batch; `refused` with errors that are retried but need a change on the server:
        403, 404 and the like."""
        while True:
            self._opened, asked = None, None
            try:
                with trio.CancelScope() as self._scope:
                    await self._follow(take)
            except ApiError as error:
                asked = error.retry_after
                self._fail(error, refused)
            except msgspec.DecodeError as broken:
                self._fail(ApiError(0, "Malformed", f"{self._path}: the data is not a watch event: {broken}"), refused)
            except Exception:  # a bug in one kind must not stop the others
                _log.exception("%s: an event cannot be processed; listing all objects again", self._path)
                self._version = None
            works = self._opened is not None and trio.current_time() - self._opened >= STEADY
            self._tries = 0 if works else self._tries + 1
            if asked is None:
                await self._contact.pause(delay(self._tries))
            else:
                await trio.sleep(random.uniform(asked, 1.5 * asked))  # noqa: S311

    def renew(self) -> None:
        """Lists everything again, now."""
        self._version = None
        self._scope.cancel()

    def _fail(self, error: ApiError, refused: Callable[[ApiError], None]) -> None:
        if error.status == GONE:
            self._version = None
            self._contact.failed(self.name, error)  # for the metrics: the server answers
            return
        if self._is_silent and error.status:  # the server is back and answers
            self._tries = 0
        self._is_silent = not error.status
        self._contact.failed(self.name, error)
        if error.is_refusal:
            refused(error)

    async def _follow(self, take: Take) -> None:
        """Follows until a stream ends."""
        if self._version is None and not self._in_stream:
            await self._pages(take)
        try:
            await self._stream(take)
        except ApiError as error:
            if error.status not in NOT_WATCHLIST or self._version is not None or not self._in_stream:
                raise
            self._in_stream = False

    # --- In pages

    async def _pages(self, take: Take) -> None:
        take([BEGUN])
        rest = ""
        while True:
            query = {**self._selection, "limit": str(PAGE), **({"continue": rest} if rest else {})}
            content = await self._client.request(
                "GET", self._path, query=query, accept=self._accept("List"), timeout=LIST_TIMEOUT
            )
            page = _PAGE.decode(content)
            self._contact.heard(self.name)
            items, now = page.items or [], trio.current_time()
            while items:
                count = slice_of(map(memoryview, items))
                take([Notice("Listed", item, since=now) for item in items[:count]])
                items = items[count:]
                await step_aside()
            rest = page.metadata.rest
            if not rest:
                break
        take([Notice("Complete", since=now)])
        self._version = page.metadata.resource_version
        self._listed()

    # --- As a stream

    async def _stream(self, take: Take) -> None:
        with self._client.stream(self._path, self._query(), self._accept("")) as stream:
            with trio.move_on_after(OPEN_TIMEOUT) as patience:
                await stream.opened()
            if patience.cancelled_caught:
                raise ApiError(0, "Timeout", f"{self._path}: no answer within {OPEN_TIMEOUT:g} s")
            self._opened = trio.current_time()
            self._contact.heard(self.name)
            if self._version is None:
                take([BEGUN])
            while lines := await self._lines(stream):
                while lines and self._version is None:
                    self._contact.heard(self.name)
                    count = slice_of(line.content for line in lines)
                    take(self._batch(lines[:count]))
                    lines = lines[count:]
                    await step_aside()
                await self._take_fairly(lines, stream, take)

    async def _take_fairly(self, lines: list[Line], stream: Stream, take: Take) -> None:
        """Processes lines, and those that arrive in the meantime, until there are no more."""
        backlog = Backlog()
        while lines or backlog:
            if lines:
                self._contact.heard(self.name)
            try:
                backlog.add(self._batch(lines[:HEADS]))
            except (ApiError, msgspec.DecodeError):
                while backlog:  # the watch resumes after them
                    take(backlog.take(SLICE, SLICE_SIZE))
                    await step_aside()
                raise
            lines = lines[HEADS:]
            take(backlog.take(SLICE, SLICE_SIZE))
            await step_aside()
            if not lines and len(backlog) < AHEAD and backlog.size < AHEAD_SIZE:
                lines = stream.lines_nowait()

    def _query(self) -> Mapping[str, str]:
        common = {
            **self._selection,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(random.randint(*LIFE)),  # noqa: S311
        }
        if self._version is None:
            return common | {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        return common | {"resourceVersion": self._version}

    def _accept(self, suffix: str) -> str:
        return f"{JSON};{AS_METADATA.format(suffix)}" if self._metadata_only else JSON

    async def _lines(self, stream: Stream) -> list[Line]:
        if self._version is not None:
            return await self._next(stream)
        with trio.move_on_after(LISTING_SILENCE):
            return await stream.lines()
        self._in_stream = False
        return []

    async def _next(self, stream: Stream) -> list[Line]:
        """The next lines after a listing. Empty if the stream ended, or the watch was silent for too long."""
        since, came = trio.current_time(), False
        try:
            with trio.move_on_after(max(0.0, DEAF - self._unheard)) as patience:
                lines = await stream.lines()
                came = bool(lines)
        finally:
            self._unheard = 0.0 if came else self._unheard + trio.current_time() - since
        if not patience.cancelled_caught:
            return lines
        await self._compare()
        return []

    async def _compare(self) -> None:
        """Compares the server's version with the highest one seen. If it went back, everything is listed again. If the
        server does not tell its version, it is asked again after DEAF / 2: the events of a stream are read meanwhile.
        """
        self._unheard = DEAF / 2
        content = await self._client.request(
            "GET",
            self._path,
            query={**self._selection, "limit": "1"},
            accept=f"{JSON};{AS_METADATA.format('List')}",
        )
        version = _PAGE.decode(content).metadata.resource_version
        self._contact.heard(self.name)
        self._unheard = 0.0
        if not version.isdecimal():
            return
        if int(version) < self._last:
            self._version = None
        self._last = max(self._last, int(version))

    def _listed(self) -> None:
        """A listing is complete: checks whether the server's versions went back."""
        version = self._version or ""
        if not version.isdecimal():
            return
        if int(version) < self._last:
            _log.warning(
                "%s: the API server went back from version %d to %s, as when etcd is restored from a backup: "
                "all objects were listed again",
                self._path,
                self._last,
                version,
            )
        self._last = int(version)

    def _batch(self, lines: list[Line]) -> list[Notice]:
        """The notices of some lines. Raises ApiError for an ERROR event; the notices before it in the batch are lost,
        but nothing is missed: they are listed again, or come after the version at which the watch resumes."""
        notices = []
        version, is_listing = self._version, self._version is None
        for line, arrived in lines:
            if not line.strip():
                continue
            event = _EVENT.decode(line)
            if event.type == "ERROR":
                refusal = _REFUSAL.decode(event.object)
                raise ApiError(refusal.code, refusal.reason, refusal.message)
            metadata = _MARKED.decode(event.object).metadata
            if what := _WHAT.get(event.type):
                what = "Listed" if version is None and what == "Put" else what
                notices.append(Notice(what, event.object, bytes(metadata.namespace), bytes(metadata.name), arrived))
            elif version is None and metadata.annotations.get(INITIAL_END) == "true":
                notices.append(Notice("Complete", since=arrived))
                version = metadata.resource_version
            if version is not None and metadata.resource_version:
                version = metadata.resource_version
        self._version = version
        if is_listing and version is not None:
            self._listed()
        elif version is not None and version.isdecimal():
            self._last = max(self._last, int(version))
        return notices


def slice_of(contents: Iterable[Sized]) -> int:
    """How many of them are processed at a time, at least one."""
    count, room = 0, SLICE_SIZE
    for content in islice(contents, SLICE):
        count, room = count + 1, room - len(content)
        if room <= 0:
            break
    return count


def delay(tries: int) -> float:
    """The seconds to wait after so many failed attempts."""
    longest = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(tries, 16)) if tries else FIRST_DELAY
    return random.uniform(longest / 2, longest)  # noqa: S311
