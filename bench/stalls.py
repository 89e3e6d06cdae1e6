"""`python -m bench.stalls [CASE...]`: how long an installation delays the traffic of a worker, with the worst objects.

A worker runs in a process of its own. Its engine always has something to do, so that the time from the end of a turn to
the beginning of the next one is the time that traffic waits for anything else: receiving and decoding of messages,
building, the swap, freeing. Reported are the longest such time, as processor time of the worker's thread (other
processes do not change it), the worker's own measure in wall time where it has one, and the time until the Ack.
"""

import argparse
import array
import mmap
import os
import resource
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterable

from bench.worst_objects import CASES
from fastroute.ext.engine.engine import Engine
from fastroute.ext.reactor.counters import CounterMap
from fastroute.publication import Ack, Downward, Listen, Pong, Start, Trouble, Upward, publication
from fastroute.settings import Limits
from fastroute.supervisor.memory import counter_memory
from fastroute.wire import Decoder, encode
from fastroute.worker import __main__ as worker
from fastroute.worker import serve as serve_module

Messages = Iterable[Downward]
_AFTER = 0.5  # seconds after an Ack, for what is freed later


class Watch:
    """The longest time between two turns of the engine, in memory that both processes share."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 4096)

    def note(self, seconds: float) -> None:
        if seconds > self.worst:
            self._memory[:8] = struct.pack("d", seconds)

    @property
    def worst(self) -> float:
        return float(struct.unpack("d", self._memory[:8])[0])

    def reset(self) -> None:
        self._memory[:8] = bytes(8)


def watched(watch: Watch) -> type[Engine]:
    """An Engine whose turns follow each other without a wait."""

    class Watched(Engine):
        ended = 0.0

        def turn(self) -> bool:
            if self.ended:
                watch.note(time.thread_time() - self.ended)
            super().turn()
            self.ended = time.thread_time()
            self.wake()
            return True

    return Watched


def run_worker(sock: socket.socket, watch: Watch) -> None:
    serve_module.Engine = watched(watch)  # type: ignore[misc]  # replaces a class, for this process only
    sys.argv[1:] = [str(sock.detach())]
    worker.main()


class Main:
    """The main process's end: sends publications, and reports what they cost."""

    def __init__(self, sock: socket.socket, counters: CounterMap, watch: Watch) -> None:
        self._socket, self._counters, self._watch = sock, counters, watch
        self._decoder = Decoder[Upward](Upward)
        self._version = 0

    def start(self, fd: int) -> None:
        start = Start(limits=Limits(), request_series=self._counters.requests, histograms=self._counters.histograms)
        self._send(encode(start), fd)
        self._hear()  # Confined

    def _send(self, data: bytes, fd: int | None = None) -> None:
        beside = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        sent = self._socket.sendmsg([data], beside)
        self._socket.sendall(data[sent:])

    def publish(self, name: str, changes: Messages) -> None:
        """Sends a publication and prints its costs."""
        base, self._version = self._version, self._version + 1
        messages = list(changes)
        listens = [encode(message) for message in messages if isinstance(message, Listen)]
        others = [message for message in messages if not isinstance(message, Listen)]
        *rest, commit = [encode(message) for message in publication(self._version, base, others)]
        self._watch.reset()
        began = time.monotonic()
        self._send(b"".join(rest))
        for listen in listens:
            with socket.create_server(("127.0.0.1", 0)) as listening:
                self._send(listen, listening.fileno())
        self._send(commit)
        while isinstance(answer := self._hear(), Trouble | Pong):
            if isinstance(answer, Trouble):
                print(f"  {answer.text}")
        took = time.monotonic() - began
        if answer != Ack(self._version):
            raise RuntimeError(f"{name}: {answer}")
        time.sleep(_AFTER)
        size = sum(map(len, rest)) / 1e6
        fixed = self._counters.fixed()
        own = fixed["worst_install_step"] / 1e3 if "worst_install_step" in fixed else float("nan")
        print(
            f"{name:52} {size:7.2f} MB  {len(messages):7} messages  stall {self._watch.worst * 1e3:8.2f} ms"
            f"  own {own:7.2f} ms  Ack after {took * 1e3:8.1f} ms",
            flush=True,
        )
        self._counters.zero_gauges()

    def _hear(self) -> Upward:
        while (message := self._decoder.next_message()) is None:
            if not (data := self._socket.recv(65536)):
                raise RuntimeError("the worker ended")
            self._decoder.feed(data)
        return message


def measure(name: str, steps: Callable[[], Iterable[tuple[str, Messages]]]) -> None:
    ours, theirs = socket.socketpair()
    memory, watch = counter_memory(10), Watch()
    child = os.fork()
    if child == 0:
        ours.close()
        try:
            run_worker(theirs, watch)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    theirs.close()
    try:
        main = Main(ours, memory.counters, watch)
        main.start(memory.fd)
        for step, messages in steps():
            main.publish(f"{name}: {step}", messages)
    finally:
        ours.close()
        os.waitpid(child, 0)
        memory.close()


def main() -> None:
    words = argparse.ArgumentParser(prog="python -m bench.stalls", description=__doc__)
    words.add_argument("cases", nargs="*", choices=[[], *CASES], help="default: all")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for name in words.parse_args().cases or CASES:
        measure(name, CASES[name])


if __name__ == "__main__":
    sys.exit(main())
