"""Watch: follows one collection of an API server for ever, as batches of Notices.

A listing is `Begun`, a `Listed` for each object, `Complete`; then `Put` and `Gone`. It comes in the watch itself where
the server has WatchList (`sendInitialEvents`), else in pages. Whatever happens, it goes on:
- a stream that ends or is cut is taken up at the version last seen (bookmarks keep that fresh, also in quiet);
- a version that the server no longer has (410), and a listing that was cut, are a new listing, from `Begun`. Only
  `Complete` says what is gone, so a listing that was cut short takes nothing away;
- errors wait, longer each time, by a random share: a hundred replicas do not come back at once. When one watch gets
  through again, the others of this replica follow within a second.
A connection on which nobody answers is given up: bookmarks come every minute, and the kernel asks (account.py).

After etcd was restored from an older backup the server's versions are lower than ours. It then accepts our watch but
sends neither events nor bookmarks on it until its versions pass ours, and nothing says what changed meanwhile. So a
watch that hears nothing for two bookmark periods while it is connected lists anew.
"""

import logging
import random
from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn

import msgspec
import trio

from fastroute.source.kubernetes.client import JSON, ApiError, Client, Stream
from fastroute.source.kubernetes.contact import Contact

PAGE = 500  # objects
LIST_TIMEOUT = 60.0  # s, of a page
OPEN_TIMEOUT = 60.0  # s until a stream's head is there: the server may first have to build its cache
LISTING_SILENCE = 15.0  # s; a server that says nothing for so long in a listing does not know WatchList
BOOKMARKS = 60.0  # s; API servers send one about so often to a watch that asks for them
DEAF = 2 * BOOKMARKS  # s without an event or bookmark, connected, after which everything is listed anew
LIFE = (300, 600)  # s, after which the server ends a stream; a random one between
FIRST_DELAY, LONGEST_DELAY = 0.02, 5.0  # s between two tries
STEADY = 0.5  # s that a stream must have lived to count as one that works
SLICE = 64  # events between two checkpoints
GONE = 410
NOT_WATCHLIST = (400, 422)  # how servers refuse sendInitialEvents
INITIAL_END = "k8s.io/initial-events-end"
AS_METADATA = "as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"


class Notice(NamedTuple):
    """One thing that the API server said. `content`: the object, as JSON."""

    what: str  # Begun, Listed, Complete, Put, Gone
    content: msgspec.Raw = msgspec.Raw()


_log = logging.getLogger(__name__)

BEGUN, COMPLETE = Notice("Begun"), Notice("Complete")
Take = Callable[[list[Notice]], None]


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
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
    """One collection: `path`, those of it that `selector` takes. `name` is what logs and metrics call it."""

    def __init__(
        self, client: Client, contact: Contact, name: str, path: str, *, selector: str = "", metadata_only: bool = False
    ) -> None:
        self.name = name
        self._client, self._contact, self._path = client, contact, path
        self._selection = {"fieldSelector": selector} if selector else {}
        self._metadata_only = metadata_only
        self._version: str | None = None  # from which to go on; None: a listing is due
        self._scope = trio.CancelScope()  # of the stream or listing that is under way
        self._last = 0  # the highest version seen, as a number
        self._unheard = 0.0  # s that streams were open since the last event or bookmark
        self._in_stream = True  # listings come in the watch
        self._opened: float | None = None  # when the last stream was
        self._tries = 0  # that failed, one after the other
        self._is_silent = False  # the last of them had no answer at all

    async def run(self, take: Take, refused: Callable[[ApiError], None]) -> NoReturn:
        """`take` is called with what came; `refused` with what will be tried again but does not mend by itself: 403,
        404 and the like."""
        while True:
            self._opened, asked = None, None
            try:
                with trio.CancelScope() as self._scope:
                    await self._follow(take)
            except ApiError as error:
                asked = error.retry_after
                self._fail(error, refused)
            except msgspec.DecodeError as broken:
                self._fail(ApiError(0, "Malformed", f"{self._path}: what came is no event: {broken}"), refused)
            except Exception:  # a mistake of ours in one kind must not end what is served
                _log.exception("%s: what came cannot be worked in; everything is listed anew", self._path)
                self._version = None
            works = self._opened is not None and trio.current_time() - self._opened >= STEADY
            self._tries = 0 if works else self._tries + 1
            if asked is None:
                await self._contact.pause(delay(self._tries))
            else:
                await trio.sleep(random.uniform(asked, 1.5 * asked))  # noqa: S311

    def renew(self) -> None:
        """Lists everything anew, now."""
        self._version = None
        self._scope.cancel()

    def _fail(self, error: ApiError, refused: Callable[[ApiError], None]) -> None:
        if error.status == GONE:
            self._version = None
            self._contact.failed(self.name, error)  # to be counted: the server answers
            return
        if self._is_silent and error.status:  # it is there again, and says when
            self._tries = 0
        self._is_silent = not error.status
        self._contact.failed(self.name, error)
        if 400 <= error.status < 500 and error.status != 429:
            refused(error)

    async def _follow(self, take: Take) -> None:
        """Until a stream ends."""
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
            items = page.items or []
            for start in range(0, len(items), SLICE):
                take([Notice("Listed", item) for item in items[start : start + SLICE]])
                await trio.lowlevel.checkpoint()
            rest = page.metadata.rest
            if not rest:
                break
        take([COMPLETE])
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
                self._contact.heard(self.name)
                for start in range(0, len(lines), SLICE):
                    take(self._batch(lines[start : start + SLICE]))
                    await trio.lowlevel.checkpoint()

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

    async def _lines(self, stream: Stream) -> list[bytes]:
        if self._version is not None:
            return await self._next(stream)
        with trio.move_on_after(LISTING_SILENCE):
            return await stream.lines()
        self._in_stream = False
        return []

    async def _next(self, stream: Stream) -> list[bytes]:
        """The next lines after a listing; none when the stream ends, or the watch was silent for too long."""
        since, came = trio.current_time(), False
        try:
            with trio.move_on_after(DEAF - self._unheard) as patience:
                lines = await stream.lines()
                came = bool(lines)
        finally:
            self._unheard = 0.0 if came else self._unheard + trio.current_time() - since
        if not patience.cancelled_caught:
            return lines
        _log.warning("%s: neither events nor bookmarks for %.0f s: everything is listed anew", self._path, DEAF)
        self._version, self._unheard = None, 0.0
        return []

    def _listed(self) -> None:
        """A listing is complete: sees whether the server's versions went back."""
        version = self._version or ""
        if not version.isdecimal():
            return
        if int(version) < self._last:
            _log.warning(
                "%s: the API server went back from version %d to %s, as when etcd is restored from a backup: "
                "everything was listed anew",
                self._path,
                self._last,
                version,
            )
        self._last = int(version)

    def _batch(self, lines: list[bytes]) -> list[Notice]:
        """What some lines say. Raises ApiError for an ERROR event, after what came before it was lost: it is listed
        again, or was not yet passed by the version from which the watch goes on."""
        notices = []
        version, is_listing = self._version, self._version is None
        for line in lines:
            if not line.strip():
                continue
            event = _EVENT.decode(line)
            if event.type == "ERROR":
                refusal = _REFUSAL.decode(event.object)
                raise ApiError(refusal.code, refusal.reason, refusal.message)
            metadata = _MARKED.decode(event.object).metadata
            if what := _WHAT.get(event.type):
                notices.append(Notice("Listed" if version is None and what == "Put" else what, event.object))
            elif version is None and metadata.annotations.get(INITIAL_END) == "true":
                notices.append(COMPLETE)
                version = metadata.resource_version
            if version is not None and metadata.resource_version:
                version = metadata.resource_version
        self._version = version
        if is_listing and version is not None:
            self._listed()
        elif version is not None and version.isdecimal():
            self._last = max(self._last, int(version))
        return notices


def delay(tries: int) -> float:
    """Seconds to wait after so many tries that failed."""
    longest = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(tries, 16)) if tries else FIRST_DELAY
    return random.uniform(longest / 2, longest)  # noqa: S311
