"""A worker process as seen from the main process: its start, its messages and its end."""

import array
import os
import signal
import site
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import trio

import fastroute
from fastroute.descriptors import Shortages, is_shortage
from fastroute.place import Place
from fastroute.publication import Avoided, Downward, Upward
from fastroute.shortage import Short
from fastroute.snapshot import Snapshot
from fastroute.wire import Decoder, encode

_PIECE = 64 * 1024
_PAUSE = 0.1  # seconds after a send for which the kernel has no room
_GRACE = 1.0  # seconds that a process may take to end after its stream ended
PROGRAM = ("-m", "fastroute.worker")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# The variables that a worker inherits: of the loader, the locale, OpenSSL, Python, and of sanitizers.
_INHERITED = (
    *("LD_LIBRARY_PATH", "LD_PRELOAD", "LANG", "LC_ALL", "LC_CTYPE", "OPENSSL_CONF", "OPENSSL_MODULES"),
    *("PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE", "PYTHONMALLOC"),
    *("ASAN_OPTIONS", "UBSAN_OPTIONS"),
)


class Usage(NamedTuple):
    """Resources that a process has used: CPU in seconds, resident memory in bytes."""

    cpu: float
    memory: int


class Owed(NamedTuple):
    """A publication that was sent and is not yet acknowledged."""

    version: int
    base: int  # the version it starts from; 0: a complete publication
    snapshot: Snapshot


class Worker:
    """A process, the stream to it, and the state it holds as far as the main process knows."""

    def __init__(self, slot: int, process: trio.Process, sock: trio.socket.SocketType, shortages: Shortages) -> None:
        self.slot = slot
        self.pid = process.pid
        self.version = 0  # the last acknowledged version; 0: none
        self.held: Snapshot | None = None  # the snapshot of that version; None: the next publication must be complete
        self.sockets: Mapping[tuple[Place, int], socket.socket] = {}  # sockets it accepts from, by place and slot
        self.lost: set[tuple[Place, int]] = set()  # sockets that could not be sent, and that are sent again later
        self.resend_at = 0.0  # when
        self.owed: Owed | None = None
        self.greeted = False  # Start was sent, or is the first message in the queue
        self.pinged = False  # a Pong is expected
        self.patience = trio.CancelScope()  # of the call that waits for a response; each message extends it
        self.late = False  # its acknowledgement is overdue, and nothing waits for it any more
        self.killed = False
        self.avoided = Avoided(frozenset(), frozenset())  # the endpoints that it avoids, as it reported them
        self.refused = 0  # the version that it refused even as a complete publication
        self._usage = Usage(0.0, 0)
        self._shortages = shortages
        self._process = process
        self._socket = sock
        self._sending = trio.StrictFIFOLock()

    async def send(self, message: Downward, *descriptors: int) -> None:
        """Sends a message, and file descriptors with it. Ignores a worker that has ended; its stream reports that."""
        await self.send_encoded(encode(message), *descriptors)

    async def send_encoded(self, data: bytes, *descriptors: int) -> None:
        """Like `send`, for one or several encoded messages."""
        async with self._sending:
            rest = memoryview(data)
            rights = [_rights(descriptors)] if descriptors else []
            while rest:
                try:
                    rest = rest[await self._socket.sendmsg([rest[:_PIECE]], rights) :]
                    rights = []
                except OSError as error:
                    if not is_shortage(error):
                        return
                    # ETOOMANYREFS (unix(7)): the worker has not received enough of the earlier descriptors.
                    self._shortages.note("send", f"a message cannot be sent to worker {self.slot}", error)
                    await trio.sleep(_PAUSE)

    async def messages(self) -> AsyncIterator[Upward]:
        """The messages of the worker, until its stream ends. Notes missing descriptors and avoided endpoints.
        Raises WireError."""
        decoder = Decoder[Upward](Upward)
        while True:
            try:
                data = await self._socket.recv(_PIECE)
            except OSError:
                return
            if not data:
                return
            decoder.feed(data)
            for message in decoder:
                if isinstance(message, Short):
                    self._shortages.note_report(self.slot, message)
                elif isinstance(message, Avoided):
                    self.avoided = message
                yield message

    @property
    def ending(self) -> str:
        """A description of how the process ended."""
        status = self._process.returncode
        if status is None:
            return "its stream broke"
        if status == -signal.SIGSYS:
            return "killed by SIGSYS: it made a system call that is not allowed; the kernel's log has its number"
        return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    @property
    def serving(self) -> bool:
        """Whether it accepts connections and routes them."""
        return self.version > 0 and not self.killed

    def acknowledge(self) -> None:
        """Records that the worker installed the last publication."""
        if self.owed is not None:
            self.version, self.held = self.owed.version, self.owed.snapshot
            self.owed, self.late = None, False

    def refuse(self) -> None:
        """Records that the worker refused the last publication; the next one must be complete."""
        if self.owed is not None:
            self.refused = self.refused if self.owed.base else self.owed.version
            self.held = None
            self.owed, self.late = None, False

    def kill(self) -> None:
        """Kills the process."""
        self.killed = True
        self._process.kill()

    def usage(self) -> Usage:
        """The current values from /proc; the last ones if no descriptor is free; 0 if the process has ended."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            self._usage = Usage((int(stat[11]) + int(stat[12])) / _TICKS, int(stat[21]) * _PAGE)
        except OSError as error:
            if not is_shortage(error):
                return Usage(0.0, 0)
            self._shortages.note("usage", f"the CPU time and memory of worker {self.slot} cannot be read", error)
        return self._usage


def _rights(descriptors: tuple[int, ...]) -> "tuple[int, int, array.array[int]]":
    return socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors)


@asynccontextmanager
async def worker_process(slot: int, shortages: Shortages) -> AsyncIterator[Worker]:
    """A new worker process. On exit it is killed and reaped if it is still running."""
    ours, theirs = socket.socketpair()
    with trio.socket.from_stdlib_socket(ours) as stream:
        with theirs:
            # -P: do not import modules from the current folder.
            command = [sys.executable, "-P", *PROGRAM, str(theirs.fileno())]
            process = await trio.lowlevel.open_process(
                command,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env=_environment(),
                process_group=0,  # Ctrl-C must reach the main process only, also while the worker starts
            )
        try:
            yield Worker(slot, process, stream, shortages)
            with trio.move_on_after(_GRACE):
                await process.wait()
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


def _environment() -> dict[str, str]:
    """The variables that a worker needs, because others may contain secrets. The folder of this package is first in the
    path, so that the worker runs the same fastroute."""
    folder = str(Path(fastroute.__file__).resolve().parent.parent)
    path = os.environ.get("PYTHONPATH")
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    if site.ENABLE_USER_SITE:  # its folder depends on HOME, too
        inherited["PYTHONUSERBASE"] = site.getuserbase()
    return {**inherited, "PYTHONPATH": f"{folder}{os.pathsep}{path}" if path else folder}
