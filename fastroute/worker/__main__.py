"""`python -m fastroute.worker FD`: started by the supervisor; FD is the socket to main.

Signals that end programs (Ctrl-C, a container's stop) are main's to obey: it tells its workers what to do. SIGTTOU is
ignored because the access log may go to a terminal that we are in the background of.
"""

import gc
import signal
import socket
import sys

import trio

from fastroute.worker.control import ControlStream
from fastroute.worker.serve import serve


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
    # Collections would stop traffic. What has been made so far lives for ever; what serving makes is freed by counts.
    gc.disable()
    gc.freeze()
    trio.run(_serve, int(sys.argv[1]))


async def _serve(fd: int) -> None:
    with ControlStream(trio.socket.from_stdlib_socket(socket.socket(fileno=fd))) as control:
        await serve(control)


if __name__ == "__main__":
    main()
