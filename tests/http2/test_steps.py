"""However many streams a connection has, what happens to all of them at once is divided into short steps (steps.py)."""

import socket
import struct
from collections.abc import Callable

import pytest
from steps import LOOK, STEPS, client, most_in_a_turn, settle, standing, turns_until

HEADERS, RST, SETTINGS, GOAWAY = 1, 3, 4, 7
END = 5  # END_STREAM and END_HEADERS
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = b"\x82\x86\x84\1\1a"  # GET http://a/
STREAMS = range(1, 2 * 100, 2)


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def resets_the_connection(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


def goes_away(one: socket.socket) -> None:
    one.close()


def violates_the_protocol(one: socket.socket) -> None:
    one.sendall(frame(HEADERS, END, 2, HEAD))


def resets_all_streams(one: socket.socket) -> None:
    one.sendall(b"".join(frame(RST, 0, stream, bytes(4)) for stream in STREAMS))


@pytest.mark.parametrize("end", [resets_the_connection, goes_away, violates_the_protocol, resets_all_streams])
def test_a_step_ends_few_streams(end: Callable[[socket.socket], None]) -> None:
    with standing() as (rig, stack):
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
        rig.put("b", server.getsockname()[1])
        asks = b"".join(frame(HEADERS, END, stream, HEAD) for stream in STREAMS)
        one = client(rig, stack, PREFACE + frame(SETTINGS) + asks)
        turns_until(rig, lambda: rig.engine.statistics().upstream_active == len(STREAMS))
        settle(rig)
        rig.engine.hold_clock(LOOK)
        end(one)
        assert most_in_a_turn(rig, lambda: rig.engine.statistics().exchanges, 0) <= STEPS
        rig.engine.hold_clock()
        settle(rig)
        assert rig.counters.fixed()["streams_downstream"] == 0


def test_a_step_takes_few_frames_of_what_was_read() -> None:
    """128 KiB are read at once, and each octet can be a field."""
    size = 1200
    field = b"\0\1x\x7f" + bytes([(size - 127) % 128 | 128, (size - 127) // 128]) + b"y" * size
    with standing() as (rig, stack):
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
        rig.put("b", server.getsockname()[1])
        asks = b"".join(frame(HEADERS, END, stream, HEAD + field) for stream in STREAMS)
        one = client(rig, stack, PREFACE + frame(SETTINGS))
        settle(rig)
        one.sendall(asks)
        rig.engine.hold_clock(LOOK)
        began = rig.counters.fixed
        assert most_in_a_turn(rig, lambda: began()["streams_downstream"], len(STREAMS)) <= 3 * 16384 // size
        turns_until(rig, lambda: rig.engine.statistics().upstream_active == len(STREAMS))
