"""HTTP/2 as bytes: requests on one connection, valid and mutated."""

import random
import struct
from itertools import islice

import h2.config
import h2.connection

HEAD = 9  # bytes before the payload of a frame
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
AUTHORITY = "soak.example"
FLOOD = 400  # frames

Fields = list[tuple[str, str]]


def fields(method: str, path: str, *more: tuple[str, str]) -> Fields:
    return [(":method", method), (":scheme", "http"), (":authority", AUTHORITY), (":path", path), *more]


def call(path: str, content_type: str = "application/grpc") -> Fields:
    return fields("POST", path, ("content-type", content_type), ("te", "trailers"))


def socket_fields(path: str) -> Fields:
    head = fields("CONNECT", path, ("sec-websocket-version", "13"))
    return [head[0], (":protocol", "websocket"), *head[1:]]


def message(content: bytes) -> bytes:
    """One message of gRPC."""
    return struct.pack("!BI", 0, len(content)) + content


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def conversation(requests: list[tuple[Fields, bytes]], *, is_client: bool = True) -> bytes:
    """The bytes that a client sends for these requests, or with which a backend answers streams 1, 3, 5…"""
    link = h2.connection.H2Connection(
        h2.config.H2Configuration(
            client_side=is_client, validate_outbound_headers=False, normalize_outbound_headers=False
        )
    )
    link.initiate_connection()
    if not is_client:
        link.clear_outbound_data_buffer()
        asks = [(fields("GET", "/"), b"") for _ in requests]
        link.receive_data(conversation(asks))
    for number, (head, body) in enumerate(requests):
        stream = 2 * number + 1
        link.send_headers(stream, head, end_stream=not body)
        if body:
            link.send_data(stream, body[: link.max_outbound_frame_size], end_stream=True)
    return link.data_to_send()


# --- mutations


def split(data: bytes) -> list[bytes]:
    """The frames; the preface is the first one."""
    parts = []
    if data.startswith(PREFACE):
        parts, data = [PREFACE], data[len(PREFACE) :]
    while data:
        size = HEAD + int.from_bytes(data[:3])
        parts.append(data[:size])
        data = data[size:]
    return parts


def mutated_frames(data: bytes) -> bytes:
    """A few frames of `data` changed, removed, repeated, moved, or with others between them."""
    parts = split(data)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(parts))
        kind = random.randrange(7)
        if kind == 0:
            del parts[at]
        elif kind == 1:
            parts.insert(at, random.choice(parts) if parts else b"")
        elif kind == 2:
            parts.append(parts.pop(at))
        elif kind == 3:
            parts.insert(at + 1, strange())
        else:
            parts[at] = mutated_frame(parts[at])
        if not parts:
            break
    return b"".join(parts)


def mutated_frame(one: bytes) -> bytes:
    """With another size, kind, set of flags or stream, or with changed bytes."""
    data = bytearray(one)
    where = random.randrange(5)
    if where == 0:
        data[2] = (data[2] + random.choice((1, -1, 9))) % 256
    elif where == 1:
        data[3] = random.randrange(12)
    elif where == 2:
        data[4] ^= 1 << random.randrange(8)
    elif where == 3:
        data[5:9] = struct.pack("!I", random.choice((0, 1, 2, 3, 99, 2**31 - 1, 2**31)))
    else:
        for _ in range(random.randrange(1, 5)):
            data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data)


def strange() -> bytes:
    """A frame that a peer may not send, or seldom sends."""
    number = struct.pack("!I", random.choice((0, 1, 65_535, 2**31 - 1, 2**32 - 1)))
    stream = random.choice((0, 1, 3, 4, 101))
    setting = struct.pack("!H", random.choice((1, 2, 3, 4, 5, 6, 8, 9, 77))) + number
    return random.choice(
        (
            frame(0, random.choice((0, 1, 8, 9)), stream, random.randbytes(random.randrange(40))),
            frame(1, random.randrange(64), stream, random.randbytes(random.randrange(40))),
            frame(2, 0, stream, random.randbytes(5)),
            frame(3, 0, stream, number),
            frame(4, random.randrange(2), 0, setting),
            frame(5, 4, stream, number + b"\x82"),
            frame(6, random.randrange(2), 0, random.randbytes(8)),
            frame(7, 0, 0, number + number),
            frame(8, 0, stream, number),
            frame(9, random.choice((0, 4)), stream, random.randbytes(random.randrange(40))),
            frame(random.randrange(10, 256), random.randrange(256), stream, b"?"),
        )
    )


def flood() -> bytes:
    """Many frames that cost the sender little, behind one request."""
    begun = conversation([(fields("GET", "/wild/mute/1"), b"")])
    kind = random.choice(("ping", "settings", "window", "empty", "reset", "continuation"))
    if kind == "reset":
        streams = islice(range(3, 4 * FLOOD, 2), FLOOD)
        block = conversation([(fields("GET", "/wild/mute/1"), b"")])
        head = split(block)[-1][HEAD:]
        return begun + b"".join(frame(1, 5, id, head) + frame(3, 0, id, struct.pack("!I", 8)) for id in streams)
    each = {
        "ping": frame(6, 0, 0, b"12345678"),
        "settings": frame(4, 0, 0, struct.pack("!HI", 4, 70_000)),
        "window": frame(8, 0, 0, struct.pack("!I", 1)),
        "empty": frame(0, 0, 1),
        "continuation": frame(9, 0, 3, b"\x00\x01a\x01b"),
    }[kind]
    return begun + (frame(1, 0, 3, b"\x82") if kind == "continuation" else b"") + each * FLOOD
