"""`python -m fastroute.worker FD`: started by the supervisor; FD is the socket to the main process.

Only the main process reacts to signals that end programs (Ctrl-C, the stop of a container); it sends messages to its
workers. SIGTTOU is ignored because the access log may be a terminal while this process is in the background.

The worker processes no data of clients and no objects before it is confined.
"""

import gc
import signal
import socket
import sys

import trio

from fastroute.ext.memory.graveyard import spread_frees
from fastroute.ext.reactor.splicing import open_pipe
from fastroute.worker.anchors import system_anchors
from fastroute.worker.confinement import confine
from fastroute.worker.control import ControlStream
from fastroute.worker.serve import serve


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
    spread_frees()
    # Garbage collections would pause traffic. Objects created so far live forever; later ones are freed by reference
    # counts.
    gc.disable()
    gc.freeze()
    trio.run(_serve, int(sys.argv[1]))


async def _serve(fd: int) -> None:
    with ControlStream(trio.socket.from_stdlib_socket(socket.socket(fileno=fd))) as control:
        anchors = system_anchors()
        open_pipe()  # a confined worker cannot
        await control.send(confine())
        await serve(control, anchors)


if __name__ == "__main__":
    main()
