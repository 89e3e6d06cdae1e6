"""HTTP/1 messages for tests of parsers and proxies: valid messages as peers send them, and mutations of them."""

from hypothesis import strategies as st

TOKENS = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=12).map(str.encode)
METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"PROPFIND", b"M-SEARCH"])
TARGETS = st.text("/?a.b~%", max_size=20).map(lambda text: b"/" + text.replace("%", "%41").replace("..", "").encode())
SPACES = st.sampled_from([b"", b" ", b"\t", b"  ", b" \t"])
VALUES = st.one_of(
    st.sampled_from([b"", b"1", b"a, b", b'"q;\\""', b"\xc3\xa4\xff", b"a\tb  c"]),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20).map(str.encode),
)
OWN = (
    b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"keep-alive", b"proxy-connection",
    b"expect", b"te",
)  # fmt: skip
FIELDS = st.lists(st.tuples(TOKENS.filter(lambda name: name.lower() not in OWN), SPACES, VALUES, SPACES), max_size=5)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A framing field and the body that it describes."""
    kind = draw(st.sampled_from(["none", "length", "chunked"]))
    content = draw(st.binary(max_size=40))
    if kind == "none":
        return b"", b""
    if kind == "length":
        return b"Content-Length: %d\r\n" % len(content), content
    extension = draw(st.sampled_from([b"", b";a", b";a=b", b';a="b c";d']))
    trailers = draw(st.sampled_from([b"", b"X-Sum: 1\r\n", b"a: \tb \r\nc:\r\n"]))
    size = draw(st.integers(1, 20))
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    chunks = b"".join(b"%x" % len(piece) + extension + b"\r\n" + piece + b"\r\n" for piece in pieces)
    return b"Transfer-Encoding: chunked\r\n", chunks + b"0" + extension + b"\r\n" + trailers + b"\r\n"


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A valid request as clients send it, including the body."""
    framing, body = draw(bodies())
    lines = [name + b":" + before + value + after + b"\r\n" for name, before, value, after in draw(FIELDS)]
    lines.insert(draw(st.integers(0, len(lines))), b"Host: a.example\r\n")
    lines.insert(draw(st.integers(0, len(lines))), framing)
    lines.append(draw(st.sampled_from([b"", b"Connection: close\r\n", b"connection: Keep-Alive, x\r\n"])))
    version = (
        b" HTTP/1.1\r\n" if framing.startswith(b"T") else draw(st.sampled_from([b" HTTP/1.1\r\n", b" HTTP/1.0\r\n"]))
    )
    return draw(METHODS) + b" " + draw(TARGETS) + version + b"".join(lines) + b"\r\n" + body


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """A valid response to a GET, including the body."""
    framing, body = draw(bodies())
    lines = [name + b":" + before + value + after + b"\r\n" for name, before, value, after in draw(FIELDS)]
    status = draw(st.sampled_from([b"200 OK", b"404 Not Found", b"299 ", b"500 a \tb \x80", b"304 Not Modified"]))
    body = b"" if status.startswith(b"304") else body
    return b"HTTP/1.1 " + status + b"\r\n" + framing + b"".join(lines) + b"\r\n" + body


PIECES = st.sampled_from([
    b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b";", b",", b"\x80", b"\x7f", b"\x01", b"\x0b", b"%", b"#", b"0",
    b"1", b"a", b"-", b"+", b"/", b"..", b"\\", b'"', b"=", b"[", b"@", b"*", b"\xc2\x85", b" folded\r\n", b"HTTP/1.1",
    b"chunked, ",
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n",
    b"Transfer-Encoding: identity\r\n", b"Upgrade: x\r\nConnection: upgrade\r\n",
])  # fmt: skip
Mutations = list[tuple[int, int, bytes]]  # position, number of bytes to remove, bytes to insert
MUTATIONS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), PIECES | st.just(b"")), min_size=1, max_size=3)


def mutated(data: bytes, mutations: Mutations) -> bytes:
    """`data` with some bytes replaced."""
    for start, size, piece in mutations:
        start %= len(data) + 1
        data = (data[:start] + piece + data[start + size :]) or b"G"
    return data
