"""Requests, bodies, TLS records and PROXY headers, valid and mutated."""

import random
import struct

RIGHT = ("plain", "chunked", "until-close", "hints", "large", "slow")  # always respond with 200
WRONG = ("early", "reset", "half", "garbage", "mute", "mutated")

INSERTS = (
    b"\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"%2e%2e/",
    b"Host: other\r\n",
    b"Connection: close\r\n",
)


def valid_request(path: str) -> bytes:
    """A well-formed request for `/PATH/…`, with a random method and framing."""
    target = f"/{path}/{random.randrange(1000)}?q={random.randrange(9)}".encode()
    fields = b"Host: soak.example\r\nX-Pad: " + b"p" * random.randrange(200) + b"\r\n"
    shape = random.randrange(4)
    if shape == 0:
        body = b"b" * random.choice((0, 1, 500, 20_000))
        return b"POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (target, fields, len(body), body)
    if shape == 1:
        chunks = b"".join(b"%x\r\n%s\r\n" % (size, b"c" * size) for size in random.choices(range(1, 3000), k=3))
        return b"PUT %s HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n" % (target, fields, chunks)
    extra = b"Connection: keep-alive, x-pad\r\n" if shape == 2 else b""
    return b"GET %s HTTP/1.1\r\n%s%s\r\n" % (target, fields, extra)


def mutated(message: bytes) -> bytes:
    """`message` with a few bytes of its first 400 changed, removed, repeated or inserted."""
    data = bytearray(message)
    for _ in range(random.randrange(1, 6)):
        at = random.randrange(min(len(data), 400) + 1)
        end = at + random.randrange(1, 40)
        kind = random.randrange(5)
        if kind == 0:
            data[at : at + 1] = bytes([random.choice(b"\0\r\n \t:;,/%\x7f\xff09afAZ")])
        elif kind == 1:
            del data[at:end]
        elif kind == 2:
            data[at:at] = data[at:end]
        elif kind == 3:
            data[at:at] = random.choice(INSERTS)
        elif random.random() < 0.3:
            del data[at:]
    return bytes(data)


# --- chunked bodies

SIZES = (b"%x", b"%X", b"0%x", b"0000000%x", b" %x", b"%x ", b"0x%x", b"-%x", b"+%x", b"%x_", b"fffffffffffffff%x")
ENDS = (b"\r\n", b"\n", b"\r", b"", b"\r\n\r\n", b";x\r\n", b";x=y\r\n", b';x="\r\n"\r\n', b";" + b"e" * 1500 + b"\r\n")
TRAILERS = (
    b"\r\n",
    b"",
    b"X: 1\r\n\r\n",
    b"Content-Length: 9\r\n\r\n",
    b"X : 1\r\n\r\n",
    b"\0: 1\r\n\r\n",
    b": 1\r\n\r\n",
)


def chunked_body() -> bytes:
    """A body in chunks; each part of its framing is wrong with a probability of about a quarter."""
    pieces = []
    for _ in range(random.randrange(1, 6)):
        size = random.choice((0, 1, 15, 16, 300, 5000))
        announced = size + random.choice((0, 0, 0, 0, 1, -1)) if size else size
        pieces += [_either(SIZES) % announced, _either(ENDS), b"c" * size, _either(ENDS)]
    return b"".join((*pieces, b"0", _either(ENDS), _either(TRAILERS)))


def _either(choices: tuple[bytes, ...]) -> bytes:
    """The first one, or with a probability of a quarter any other."""
    return choices[0] if random.random() < 0.75 else random.choice(choices)


def mutated_request(path: str) -> bytes:
    if random.random() < 0.5:
        return mutated(valid_request(path))
    head = f"POST /{path}/1 HTTP/1.1\r\nHost: soak.example\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + chunked_body()


# --- TLS records


def mutated_records(data: bytes) -> bytes:
    """TLS records with other types, versions, lengths or fragments, or with mutated content."""
    kind = random.randrange(6)
    header = bytearray(data[:5])
    if len(header) < 5 or kind == 0:
        return mutated(data)
    if kind == 1:
        header[0] = random.choice((0, 20, 21, 22, 23, 24, 255))
    elif kind == 2:
        header[1:3] = random.choice((b"\0\0", b"\2\0", b"\3\0", b"\3\4", b"\xff\xff"))
    elif kind == 3:
        header[3:5] = struct.pack("!H", random.choice((0, 1, 5, 16384, 16640, 16641, 65535)))
    elif kind == 4:  # two records for one, or an empty one before it
        at = random.randrange(len(data) - 5 + 1)
        first, second = data[5 : 5 + at], data[5 + at :]
        return b"".join(bytes(data[:3]) + struct.pack("!H", len(part)) + part for part in (first, second))
    else:
        return data[: random.randrange(len(data) + 1)]
    return bytes(header) + data[5:]


# --- PROXY headers

_V2 = b"\r\n\r\n\0\r\nQUIT\n"


def preface() -> bytes:
    """A PROXY header of version 1 or 2."""
    port = random.randrange(65536)
    addresses = bytes((203, 0, 113, random.randrange(256), 10, 0, 0, 1)) + struct.pack("!HH", port, 80)
    v6 = bytes(32) + struct.pack("!HH", port, 80)
    extra = random.choice((b"", b"\x04\0\x03abc", b"\x04\0\0", b"\x04\xff\xff"))
    return random.choice(
        (
            b"PROXY TCP4 203.0.113.%d 10.0.0.1 %d 80\r\n" % (random.randrange(256), port),
            b"PROXY TCP6 2001:db8::%x ::1 %d 80\r\n" % (random.randrange(65536), port),
            b"PROXY UNKNOWN\r\n",
            _V2 + b"\x21\x11" + struct.pack("!H", len(addresses + extra)) + addresses + extra,
            _V2 + b"\x21\x21" + struct.pack("!H", len(v6 + extra)) + v6 + extra,
            _V2 + b"\x20\0\0\0",
        )
    )
