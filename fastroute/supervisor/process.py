"""One worker's process as main sees it: started, spoken with, gone."""

import array
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import trio

import fastroute
from fastroute.publication import Decoder, Downward, Upward, encode
from fastroute.snapshot import Snapshot
from fastroute.supervisor.sockets import Place

_PIECE = 64 * 1024
_GRACE = 1.0  # seconds that a process may take to end after its stream did
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """What a process has used: CPU in seconds, resident memory in bytes."""

    cpu: float
    memory: int


class Owed(NamedTuple):
    """A publication that was sent and not answered yet."""

    version: int
    base: int  # the version it starts from; 0: it is the whole
    snapshot: Snapshot


class Worker:
    """A process, the stream to it, and what it holds as far as main knows."""

    def __init__(self, slot: int, process: trio.Process, sock: trio.socket.SocketType) -> None:
        self.slot = slot
        self.pid = process.pid
        self.version = 0  # acknowledged last; 0: nothing yet
        self.held: Snapshot | None = None  # of that version; None: it has to be given the whole
        self.sockets: Mapping[tuple[Place, int], socket.socket] = {}  # it was told to accept from, by place and slot
        self.owed: Owed | None = None
        self.pinged = False  # it owes a Pong
        self.late = False  # it owes an answer for longer than anybody is made to wait
        self.refused = 0  # the version that it refused even as a whole
        self._process = process
        self._socket = sock
        self._sending = trio.StrictFIFOLock()

    async def send(self, message: Downward, descriptor: int | None = None) -> None:
        """Sends a message, and a descriptor beside it. A worker that is gone is noticed elsewhere."""
        await self.send_encoded(encode(message), descriptor)

    async def send_encoded(self, data: bytes, descriptor: int | None = None) -> None:
        """The same, for one or several messages that are encoded already."""
        async with self._sending:
            try:
                rest = memoryview(data)
                if descriptor is not None:
                    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
                    rest = rest[await self._socket.sendmsg([rest[:_PIECE]], [rights]) :]
                while rest:
                    rest = rest[await self._socket.send(rest[:_PIECE]) :]
            except OSError:
                return

    async def messages(self) -> AsyncIterator[Upward]:
        """What the worker says, until it is gone. Raises WireError."""
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
                yield message

    @property
    def ending(self) -> str:
        """How the process ended, in words."""
        status = self._process.returncode
        if status is None:
            return "its stream broke"
        return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    @property
    def serving(self) -> bool:
        """It accepts connections and routes them."""
        return self.version > 0

    def acknowledge(self) -> None:
        """The worker holds what it was sent last."""
        if self.owed is not None:
            self.version, self.held = self.owed.version, self.owed.snapshot
            self.owed, self.late = None, False

    def refuse(self) -> None:
        """The worker holds what it held before; the next publication has to be the whole."""
        if self.owed is not None:
            self.refused = self.refused if self.owed.base else self.owed.version
            self.held = None
            self.owed, self.late = None, False

    def kill(self) -> None:
        """Ends the process at once."""
        self._process.kill()

    def usage(self) -> Usage:
        """As /proc says now; nothing for a process that is gone."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return Usage(0.0, 0)
        return Usage((int(stat[11]) + int(stat[12])) / _TICKS, int(stat[21]) * _PAGE)


@asynccontextmanager
async def worker_process(slot: int) -> AsyncIterator[Worker]:
    """A new worker process; killed and reaped at the end, if it has not ended by itself."""
    ours, theirs = socket.socketpair()
    with trio.socket.from_stdlib_socket(ours) as stream:
        with theirs:
            # -P: what lies in the current folder is no module of ours.
            command = [sys.executable, "-P", "-m", "fastroute.worker", str(theirs.fileno())]
            process = await trio.lowlevel.open_process(
                command,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env=_environment(),
                process_group=0,  # Ctrl-C is main's to obey, also while the worker is starting
            )
        try:
            yield Worker(slot, process, stream)
            with trio.move_on_after(_GRACE):
                await process.wait()
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


def _environment() -> dict[str, str]:
    """Ours, with the folder we were imported from in front: the worker is to be the same fastroute."""
    folder = str(Path(fastroute.__file__).resolve().parent.parent)
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{path}" if path else folder}
