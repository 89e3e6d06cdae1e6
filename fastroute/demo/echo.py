"""Echo backends: real, small HTTP/1.1 servers that answer with the request they received and their own identity.

`python -m fastroute.demo.echo PATH...` starts one for every loopback endpoint of the EndpointSlices below PATH, so that
every example can be served by hand. The answer is JSON; `path` includes the query:
{"method", "path", "host", "headers": {name: [values]}, "body_bytes", "pod", "namespace", "service"}
"""

import contextlib
import errno
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import h11
import trio

from fastroute.demo.pods import Pod, pods
from fastroute.errors import SourceError

_PIECE = 64 * 1024  # bytes read at once


def answer(pod: Pod, request: h11.Request, body_bytes: int) -> bytes:
    """The JSON document that answers one request."""
    headers: dict[str, list[str]] = {}
    for name, value in request.headers:
        headers.setdefault(name.decode("ascii"), []).append(value.decode("latin-1"))
    document = {
        "method": request.method.decode("ascii"),
        "path": request.target.decode("latin-1"),
        "host": headers.get("host", [""])[0],
        "headers": headers,
        "body_bytes": body_bytes,
        "pod": pod.name,
        "namespace": pod.namespace,
        "service": pod.service,
    }
    return json.dumps(document).encode() + b"\n"


async def _next_event(protocol: h11.Connection, stream: trio.SocketStream) -> h11.Event | type[h11.PAUSED]:
    while (event := protocol.next_event()) is h11.NEED_DATA:
        if protocol.they_are_waiting_for_100_continue:
            await stream.send_all(protocol.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        protocol.receive_data(await stream.receive_some(_PIECE))
    return event  # type: ignore[return-value]


async def _exchange(pod: Pod, protocol: h11.Connection, stream: trio.SocketStream, request: h11.Request) -> None:
    size = 0
    while isinstance(event := await _next_event(protocol, stream), h11.Data):
        size += len(event.data)
    body = answer(pod, request, size)
    fields = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    pieces = [
        protocol.send(h11.Response(status_code=200, headers=fields)),
        b"" if request.method == b"HEAD" else protocol.send(h11.Data(data=body)),
        protocol.send(h11.EndOfMessage()),
    ]
    await stream.send_all(b"".join(piece or b"" for piece in pieces))


async def _serve_connection(pod: Pod, stream: trio.SocketStream) -> None:
    protocol = h11.Connection(h11.SERVER)
    try:
        async with stream:
            while isinstance(request := await _next_event(protocol, stream), h11.Request):
                await _exchange(pod, protocol, stream, request)
                if protocol.our_state is not h11.DONE or protocol.their_state is not h11.DONE:
                    return
                protocol.start_next_cycle()
    except (trio.BrokenResourceError, h11.RemoteProtocolError):
        return  # the client closed the connection or broke the protocol


async def serve_echo(some: Sequence[Pod], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Serves these pods until cancelled. Calls started() when all of them listen. SourceError: a port is in use."""
    listeners = [(pod, await _listen(pod)) for pod in some]
    async with trio.open_nursery() as nursery:
        for pod, opened in listeners:
            nursery.start_soon(trio.serve_listeners, partial(_serve_connection, pod), opened)
        task_status.started()


async def _listen(pod: Pod) -> list[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(pod.port, host=pod.address)
    except OSError as error:
        taken = "is in use: stop the program that listens there, or write another port into the EndpointSlice"
        why = taken if error.errno == errno.EADDRINUSE else f"cannot be bound ({error.strerror})"
        raise SourceError(f"{pod.address}:{pod.port} of {pod.namespace}/{pod.service} {why}") from None


def _main(paths: Sequence[str]) -> None:
    from fastroute.source.directory import Directory

    source = Directory([Path(path) for path in paths])
    source.load()
    found = pods(source.store.snapshot().endpoint_slices.values())
    for pod in found:
        print(f"{pod.namespace}/{pod.service} {pod.name}: http://{pod.address}:{pod.port}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(_until_interrupted, found)


async def _until_interrupted(some: Sequence[Pod]) -> None:
    """KeyboardInterrupt may be raised inside the nursery."""
    try:
        await serve_echo(some)
    except* KeyboardInterrupt:
        pass


if __name__ == "__main__":
    try:
        _main(sys.argv[1:])
    except SourceError as error:
        sys.exit(f"echo: {error}")
