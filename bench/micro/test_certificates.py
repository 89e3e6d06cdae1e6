"""Ten thousand certificates: the cost to parse and keep each, and that lookups take as long as with a few.

`pytest bench/micro/test_certificates.py --benchmark-only`, on an otherwise idle core. The same certificate is used for
all: each copy is parsed and kept separately.
"""

from time import process_time
from typing import NamedTuple

import pytest
from certificates import certificate
from pytest_benchmark.fixture import BenchmarkFixture

from fastroute.ext.routing.tables import TableBuilder, Tables, Upstreams
from fastroute.ext.tls.certificate import Certificates
from fastroute.place import Place, Transport
from fastroute.snapshot import Listener, ListenerTLS, Mode

FEW, MANY = 18, 10_000
MOST_EACH = 16 * 1024  # bytes, including its listener
SHOWN = certificate("a.example.com")
PLACE = Place(Transport.TCP, "127.0.0.1", 443)


class World(NamedTuple):
    tables: Tables
    certificates: Certificates
    bytes_each: float


def listener(number: int) -> Listener:
    name = f"l{number}"
    return Listener(
        id=f"infra/gateway/{name}@{PLACE.address}",
        gateway="infra/gateway",
        name=name,
        place=PLACE,
        spec_port=PLACE.port,
        hostname=f"h{number}.example.com",
        mode=Mode.TERMINATE,
        tls=ListenerTLS(certificates=(f"certs/{number}",)),
    )


def resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def world(count: int) -> World:
    """`count` listeners on one port, each with its own hostname and certificate."""
    before, certificates = resident(), Certificates()
    for number in range(count):
        certificates.put(f"certs/{number}", SHOWN)
    certificates.commit()
    builder = TableBuilder(Upstreams(), None, 1, certificates)
    for number in range(count):
        builder.put_listener(listener(number))
    return World(builder.finish(), certificates, (resident() - before) / count)


@pytest.fixture(scope="module")
def worlds() -> dict[int, World]:
    return {count: world(count) for count in (FEW, MANY)}


def find(tables: Tables, host: str) -> None:
    """Like a client that sends `host` as SNI and as Host."""
    tables.find(tables.socket_index(PLACE), "GET", "/", host, asked=host)


def seconds(tables: Tables, host: str, rounds: int = 20_000) -> float:
    began = process_time()
    for _ in range(rounds):
        find(tables, host)
    return (process_time() - began) / rounds


def test_certificate_put(benchmark: BenchmarkFixture) -> None:
    benchmark(Certificates().put, "certs/one", SHOWN)


@pytest.mark.parametrize("count", [FEW, MANY])
def test_certificate_found(benchmark: BenchmarkFixture, worlds: dict[int, World], count: int) -> None:
    benchmark(find, worlds[count].tables, f"h{count - 1}.example.com")


def test_ten_thousand_are_found_as_fast_as_a_few_and_fit(worlds: dict[int, World]) -> None:
    few, many = (min(seconds(worlds[count].tables, f"h{count - 1}.example.com") for _ in range(7)) for count in worlds)
    assert many < few * 1.5
    assert len(worlds[MANY].certificates) == MANY
    assert worlds[MANY].bytes_each < MOST_EACH
