"""The cost of one message head: parse it, normalise it if necessary, and write it to the other side.

Each round of the benchmark processes ROUNDS heads in one compiled loop, so that the call from Python is negligible;
divide by ROUNDS. `pytest bench/micro/test_http1.py --benchmark-only`, on an otherwise idle core. The limit is asserted
on the CPU time of the best round: 1.5 µs to parse and write any head that clients usually send.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fastroute.ext.http1.http1 import BodyReader, HeadReader

ROUNDS = 10_000
MOST = 1.5e-6  # seconds to parse and write one head

BROWSER = (
    b"Host: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n"
    b"Accept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\nCookie: session=0123456789abcdef\r\n\r\n"
)
REQUESTS = {
    "small": b"GET /fruits/apple HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
    "curl": b"GET /fruits?a=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
    "browser": b"GET /fruits/apple?a=1&b=2 HTTP/1.1\r\n" + BROWSER,
    "browser, path to normalise": b"GET /x/../%66ruits/./apple%2f HTTP/1.1\r\n" + BROWSER,
    "nominated fields": b"GET / HTTP/1.1\r\nConnection: X-A, X-B\r\nX-A: 1\r\nX-B: 2\r\n" + BROWSER,
}
RESPONSES = {
    "nginx": (
        b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 08:00:00 GMT\r\n"
        b"Content-Type: text/plain\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n"
    ),
    "chunked": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n",
}


@pytest.mark.parametrize("data", REQUESTS.values(), ids=REQUESTS.keys())
def test_request(benchmark: BenchmarkFixture, data: bytes) -> None:
    reader = HeadReader()
    benchmark(reader.seconds, data, ROUNDS)
    assert min(reader.seconds(data, ROUNDS) for _ in range(5)) / ROUNDS < MOST


@pytest.mark.parametrize("data", RESPONSES.values(), ids=RESPONSES.keys())
def test_response(benchmark: BenchmarkFixture, data: bytes) -> None:
    reader = HeadReader(b"GET")
    benchmark(reader.seconds, data, ROUNDS)
    assert min(reader.seconds(data, ROUNDS) for _ in range(5)) / ROUNDS < MOST


@pytest.mark.parametrize("size", [16, 1024, 65_536 - 6])
def test_chunked_body_of_a_mebibyte(benchmark: BenchmarkFixture, size: int) -> None:
    """Skips the framing of 1 MiB in chunks of `size`."""
    body = (b"%x\r\n" % size + b"x" * size + b"\r\n") * (2**20 // size) + b"0\r\n\r\n"

    def take() -> object:
        return BodyReader("chunked").take(body)

    assert benchmark(take) == len(body)
