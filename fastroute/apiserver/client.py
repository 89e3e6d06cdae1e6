"""Client: requests and streams to an API server for trio, in bytes.

It uses the configuration, authentication and connections of the official client (account.py) with urllib3, which
blocks. So each request runs in one of `REQUESTS` threads, and each stream in an additional one, so that requests and
streams do not wait for each other. Cancellation takes effect at once; the thread ends within its timeout, or when its
socket is shut down.

A status other than 2xx raises ApiError; no answer raises ApiError with status 0. Only two things are retried here: a
GET on a connection that the server had closed, and any request, once, after a 401 if the credentials were reloaded.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
import trio
import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError, ProtocolError

from fastroute import __version__
from fastroute.apiserver.account import Account
from fastroute.descriptors import explained, is_shortage
from fastroute.errors import FastrouteError, SettingError

REQUESTS = 16  # concurrent requests
CONNECT_TIMEOUT = 5.0  # s
REQUEST_TIMEOUT = 10.0  # s
SILENCE = 100.0  # s; a stream that receives no byte for this long is closed
PIECE = 256 * 1024  # bytes, the most that one read of a stream returns
AHEAD = 4 * 1024 * 1024  # bytes that a stream reads ahead of its consumer
LONGEST_LINE = 16 * 1024 * 1024  # bytes; etcd accepts 1.5 MiB
JSON = "application/json"

_log = logging.getLogger(__name__)


class ApiError(FastrouteError):
    """The API server refused, or was not reached (`status` 0). `reason` as in metav1.Status: Conflict, NotFound..."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}" if status else message)
        self.status, self.reason, self.message = status, reason, message
        self.retry_after = retry_after  # s; the server's Retry-After

    @property
    def is_refusal(self) -> bool:
        """Whether it needs a change on the server: 403, 404 and the like."""
        return 400 <= self.status < 500 and self.status != 429


class Refusal(msgspec.Struct, frozen=True):
    """The fields of metav1.Status that are used."""

    reason: str = ""
    message: str = ""
    code: int = 0


class Client:
    """One API server."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._requests = trio.CapacityLimiter(REQUESTS)

    @property
    def host(self) -> str:
        return self._account.host

    async def request(
        self,
        method: str,
        path: str,
        body: bytes | Any = None,
        *,
        content_type: str = JSON,
        accept: str = JSON,
        query: Mapping[str, str] | None = None,
        timeout: float = REQUEST_TIMEOUT,  # noqa: ASYNC109 (also the socket timeout in the thread)
    ) -> bytes:
        """Returns the body. `body`: bytes are sent unchanged, other types as JSON; `timeout`: s for the whole request.

        Raises ApiError.
        """
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        headers = {"Accept": accept} | ({"Content-Type": content_type} if content is not None else {})
        request = _Request(method, path, dict(query or {}), headers, content, timeout)
        with trio.move_on_after(timeout):
            return await trio.to_thread.run_sync(self._answer, request, abandon_on_cancel=True, limiter=self._requests)
        raise ApiError(0, "Timeout", f"{method} {self.host}{path}: no answer within {timeout:g} s")

    @contextlib.contextmanager
    def stream(self, path: str, query: Mapping[str, str], accept: str = JSON) -> Iterator["Stream"]:
        """Opens an endless response. Leaving the context closes it. `Stream.lines` returns its lines or raises
        ApiError."""
        stream = Stream(trio.lowlevel.current_trio_token())
        request = _Request("GET", path, dict(query), {"Accept": accept}, None, SILENCE)
        trio.lowlevel.start_thread_soon(lambda: stream.pump(self, request), lambda _: None)
        try:
            yield stream
        finally:
            stream.close()

    def _answer(self, request: "_Request") -> bytes:
        """Blocks."""
        with self.opened(request) as response:
            try:
                return response.read()
            except (HTTPError, OSError) as error:
                raise _unreached(self.host, request, error) from error

    @contextlib.contextmanager
    def opened(self, request: "_Request") -> Iterator[urllib3.BaseHTTPResponse]:
        """The head of a 2xx response; its body is not read yet. Blocks. Raises ApiError."""
        response = self._ask(request)
        if response.status == 401 and self._renewed():
            response.close()
            response = self._ask(request)
        try:
            if not 200 <= response.status < 300:
                raise _refused(response)
            yield response
        finally:
            if response.closed:
                response.release_conn()
            else:
                response.close()

    def _ask(self, request: "_Request") -> urllib3.BaseHTTPResponse:
        try:
            return self._ask_once(request)
        except ProtocolError as error:
            if request.method != "GET":
                raise _unreached(self.host, request, error) from error
        except (HTTPError, OSError) as error:
            raise _unreached(self.host, request, error) from error
        try:  # an idle connection that the server has closed
            return self._ask_once(request)
        except (HTTPError, OSError) as error:
            raise _unreached(self.host, request, error) from error

    def _ask_once(self, request: "_Request") -> urllib3.BaseHTTPResponse:
        headers = {**request.headers, "User-Agent": f"fastroute/{__version__}"}
        try:
            authorization = self._account.authorization()
        except Exception as error:  # exec plugins and token files can raise any exception
            raise ApiError(0, "Unauthenticated", f"no token for {self.host}: {error}") from error
        if authorization:
            headers["Authorization"] = authorization
        query = f"?{urlencode(request.query)}" if request.query else ""
        return self._account.pool.request(
            request.method,
            f"{self.host}{request.path}{query}",
            body=request.body,
            headers=headers,
            timeout=urllib3.Timeout(connect=min(CONNECT_TIMEOUT, request.timeout), read=request.timeout),
            retries=False,
            redirect=False,
            preload_content=False,
        )

    def _renewed(self) -> bool:
        """Reloads the credentials after a 401. Returns whether that succeeded."""
        try:
            self._account.reload()
        except SettingError as error:
            _log.warning("the API server rejects the credentials (401), and they cannot be reloaded: %s", error)
            return False
        return True


class Line(NamedTuple):
    content: bytes
    arrived: float  # on trio's clock


class Stream:
    """The lines of a body. A thread reads them (`pump`); the task fetches all lines that have arrived (`lines`)."""

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self._token = token
        self._came = trio.Event()
        self._lock = threading.Lock()  # guards _pieces, _size, _ended, _error, _response
        self._room = threading.Event()
        self._room.set()
        self._pieces: list[tuple[float, list[bytes]]] = []  # lines, and when they arrived on the clock of perf_counter
        self._size = 0
        self._ended = False
        self._error: ApiError | None = None
        self._response: urllib3.BaseHTTPResponse | None = None

    async def opened(self) -> None:
        """Returns when the response has begun. Raises ApiError."""
        while self._response is None and not self._ended:
            await self._wait()
        if self._response is None and self._error is not None:
            raise self._error

    async def lines(self) -> list[Line]:
        """All complete lines that have arrived, at least one. Empty: the response has ended. Raises ApiError."""
        while True:
            lines, ended, error = self._fetch()
            if lines:
                return lines
            if error is not None:
                raise error
            if ended:
                return []
            await self._wait()

    def lines_nowait(self) -> list[Line]:
        """All complete lines that have arrived."""
        return self._fetch()[0]

    def _fetch(self) -> tuple[list[Line], bool, ApiError | None]:
        with self._lock:
            pieces, self._pieces, self._size = self._pieces, [], 0
            self._room.set()
            ended, error = self._ended, self._error
        ahead = trio.current_time() - time.perf_counter()
        return [Line(content, arrived + ahead) for arrived, lines in pieces for content in lines], ended, error

    def close(self) -> None:
        """Ends the stream and its thread, even if the thread is blocked."""
        with self._lock:
            self._ended, response = True, self._response
            self._room.set()
        if response is not None:
            with contextlib.suppress(OSError, ValueError, RuntimeError):  # it may have ended already
                response.shutdown()

    def pump(self, client: Client, request: "_Request") -> None:
        """Reads until the end. Runs in its own thread."""
        error: ApiError | None = None
        try:
            with client.opened(request) as response:
                if self._begin(response):
                    self._read(response)
        except ApiError as refused:
            error = refused
        except Exception as broken:  # urllib3 raises various errors if its socket is shut down; the stream must end
            error = _unreached(client.host, request, broken)
        with self._lock:
            self._error = None if self._ended else error
            self._ended = True
        self._tell()

    def _begin(self, response: urllib3.BaseHTTPResponse) -> bool:
        with self._lock:
            self._response = response
            wanted = not self._ended
        self._tell()
        return wanted

    def _read(self, response: urllib3.BaseHTTPResponse) -> None:
        rest = bytearray()
        while piece := response.read1(PIECE):
            cut = piece.rfind(b"\n")
            if cut < 0:
                rest += piece
                if len(rest) > LONGEST_LINE:
                    raise ValueError(f"a line of more than {LONGEST_LINE} bytes")
                continue
            lines = (bytes(rest) + piece[:cut]).split(b"\n")
            rest = bytearray(piece[cut + 1 :])
            if not self._give(lines, len(piece), time.perf_counter()):
                return

    def _give(self, lines: list[bytes], size: int, arrived: float) -> bool:
        """False: the stream was closed."""
        self._room.wait()
        with self._lock:
            if self._ended:
                return False
            self._pieces.append((arrived, lines))
            self._size += size
            if self._size > AHEAD:
                self._room.clear()
        self._tell()
        return True

    def _tell(self) -> None:
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._wake, idempotent=True)

    def _wake(self) -> None:
        self._came.set()

    async def _wait(self) -> None:
        """Waits until the thread signals that something arrived."""
        await self._came.wait()
        self._came = trio.Event()


class _Request(msgspec.Struct, frozen=True):
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes | None
    timeout: float  # s; the longest time without a received byte


def _refused(response: urllib3.BaseHTTPResponse) -> ApiError:
    """The server's refusal as an error."""
    try:
        content = response.read()
    except HTTPError:
        content = b""
    try:
        status = msgspec.json.decode(content, type=Refusal)
    except msgspec.DecodeError:
        status = Refusal(message=content[:200].decode(errors="replace").strip())
    after = response.headers.get("Retry-After", "")
    reason = status.reason or response.reason or "Unknown"
    return ApiError(response.status, reason, status.message or reason, float(after) if after.isdecimal() else None)


def _unreached(host: str, request: _Request, error: Exception) -> ApiError:
    cause = str(getattr(error, "reason", None) or error) or type(error).__name__
    if shortage := next(filter(is_shortage, _causes(error)), None):
        assert isinstance(shortage, OSError)
        cause = explained(shortage)
    return ApiError(0, "Unreached", f"{request.method} {host}{request.path}: {cause}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what caused it; urllib3 keeps the cause of a failed connection in `reason`."""
    while error is not None:
        yield error
        error = error.reason if isinstance(error, MaxRetryError) else error.__cause__ or error.__context__
