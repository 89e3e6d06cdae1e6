"""A TCP relay that can inject faults, in front of an API server or etcd, or at the boundary of a namespace.

It runs an event loop in its own thread, so the test may block. Its settings may be changed at any time.
"""

import asyncio
import contextlib
import threading
from types import TracebackType

PIECE = 64 * 1024

# The address a relay listens on or connects to: (host, port), or the path of a Unix socket.
Address = tuple[str, int] | str


class Relay:
    """Relays connections from `here` to `there`. `delay`: seconds of delay for each chunk; `shut`: accept none."""

    def __init__(self, here: Address, there: Address) -> None:
        self.here, self.there = here, there
        self.delay = 0.0
        self.shut = False
        self.connections = 0  # so far
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._error: OSError | None = None  # why it cannot listen
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Relay":
        self._thread.start()
        if not self._started.wait(10):
            raise OSError(f"cannot listen at {self.here}")
        if self._error is not None:
            self._thread.join(10)
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def cut(self) -> None:
        """Resets all open connections."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._listen())
        except OSError as error:
            self._error = error
            end_tasks(self._loop)
            return
        finally:
            self._started.set()
        self._loop.run_forever()
        end_tasks(self._loop)

    async def _listen(self) -> None:
        if isinstance(self.here, str):
            await asyncio.start_unix_server(self._connection, self.here)
        else:
            await asyncio.start_server(self._connection, *self.here)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.shut:
            writer.transport.abort()
            return
        self._open.add(writer)
        other: asyncio.StreamWriter | None = None
        try:
            back, other = await self._connect()
            self._open.add(other)
            await asyncio.gather(self._lead(reader, other), self._lead(back, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in filter(None, (writer, other)):
                self._open.discard(one)
                one.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.there, str):
            return await asyncio.open_unix_connection(self.there)
        return await asyncio.open_connection(*self.there)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE):
            if self.delay:
                await asyncio.sleep(self.delay)
            writer.write(piece)
            await writer.drain()
        with contextlib.suppress(OSError, NotImplementedError):
            writer.write_eof()


def end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Cancels the remaining tasks of a stopped loop, and closes it."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()
