"""The objects that cost a worker the most to install, as changes of publications: for each case, steps with a name."""

import datetime
from collections.abc import Callable, Iterator
from functools import cache

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from fastroute.place import Place, Transport
from fastroute.publication import (
    Downward,
    Listen,
    RemoveBackend,
    RemoveCertificate,
    RemoveEndpoints,
    RemoveListener,
    RemoveRule,
    SetEndpoints,
    Unlisten,
    UpsertBackend,
    UpsertCertificate,
    UpsertListener,
    UpsertRule,
)
from fastroute.snapshot import (
    Backend,
    Certificate,
    Endpoint,
    HeaderModifier,
    HeaderValue,
    Listener,
    ListenerTLS,
    Match,
    Mode,
    PathMatch,
    Rule,
    ValueMatch,
    WeightedBackend,
)

Step = tuple[str, Iterator[Downward] | list[Downward]]


# --- certificates


@cache
def _key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def _signer() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def _pem(bits: int, names: int, text: str) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
    alternatives = [x509.DNSName(f"name-{i}.{text}.example.com") for i in range(names)]
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(_key(bits).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(alternatives), False)
        .sign(_signer(), hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM)


@cache
def _certificate(names: int = 10, chain: int = 10, bits: int = 4096) -> Certificate:
    key = _key(bits).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    issuers = b"".join(_pem(bits, 10, f"issuer-{i % 10}") for i in range(chain - 1))
    return Certificate(_pem(bits, names, "leaf") + issuers, key)


def _secured(number: int, ids: tuple[str, ...]) -> UpsertListener:
    return UpsertListener(
        Listener(
            id=f"S{number:05}",
            gateway="a/gw",
            name=f"https-{number}",
            place=Place(Transport.TCP, "127.0.0.1", 443),
            spec_port=443,
            hostname=f"h{number}.example.com",
            mode=Mode.TERMINATE,
            tls=ListenerTLS(certificates=ids),
        )
    )


def certificates() -> Iterator[Step]:
    """A Secret with a long chain, or with many names; many Secrets; their removal."""
    yield "one, RSA-4096, chain of 10", [UpsertCertificate("a/one", _certificate()), _secured(0, ("a/one",))]
    yield "one again", [UpsertCertificate("a/one", _certificate())]
    yield "1,000 names", [UpsertCertificate("a/one", _certificate(names=1000, chain=10))]
    usual = _certificate(chain=3)
    ids = tuple(f"a/c{i:04}" for i in range(64))
    many = [UpsertCertificate(id, _certificate()) for id in ids]
    yield "64 in a listener, RSA-4096, chain of 10", [*many, _secured(1, ids)]
    yield "64 again", many
    ids = tuple(f"b/c{i:04}" for i in range(2000))
    secured = [_secured(i + 2, (id,)) for i, id in enumerate(ids)]
    yield "2,000 Secrets, 2,000 listeners", [*(UpsertCertificate(id, usual) for id in ids), *secured]
    yield "2,000 again", [UpsertCertificate(id, usual) for id in ids]
    yield (
        "2,000 removed",
        [*(RemoveListener(f"S{i + 2:05}") for i in range(2000)), *(RemoveCertificate(id) for id in ids)],
    )


# --- routes


def _listener(port: int = 80, number: int = 0) -> UpsertListener:
    return UpsertListener(
        Listener(
            id=f"L{number:05}",
            gateway="a/gw",
            name=f"http-{number}",
            place=Place(Transport.TCP, "127.0.0.1", port),
            spec_port=port,
            hostname="",
        )
    )


def _rule(route: int, index: int, matches: tuple[Match, ...], *, hostnames: tuple[str, ...] = ("",)) -> UpsertRule:
    return UpsertRule(
        Rule(
            id=f"L00000|HTTPRoute|a/r{route:05}|{index}",
            listener="L00000",
            hostnames=hostnames,
            gateway="a/gw",
            listener_name="http-0",
            route=f"a/r{route:05}",
            route_kind="HTTPRoute",
            name=str(index),
            matches=matches,
            backends=(WeightedBackend(weight=1, backend="a/x:80"),),
        )
    )


def _match(path: str, number: int, kind: str = "PathPrefix", *, headers: tuple[ValueMatch, ...] = ()) -> Match:
    return Match(path=PathMatch(kind, path), rank=(number,), headers=headers)


def _expression(number: int) -> str:
    """About 200 instructions, and few states."""
    return f"/{number:05}" + "[a-f]{1,4}x" * 10 + f"{number:05}" * 16


def expressions() -> Iterator[Step]:
    """8,192 expressions in 64 routes of 128, each as large as permitted."""
    yield "listener", [_listener(), SetEndpoints("a/x:80", (Endpoint("127.0.0.1", 9),))]

    def routes(again: int, hostnames: tuple[str, ...] = ("",)) -> Iterator[Downward]:
        for route in range(64):
            for half in range(2):
                first = 10_000 * again + route * 128 + half * 64
                numbers = range(first, first + 64)
                matches = tuple(_match(_expression(i % 100_000), i, "RegularExpression") for i in numbers)
                yield _rule(route, half, matches, hostnames=hostnames)

    yield "8,192 expressions of paths", routes(0)
    yield "8,192 others", routes(1)

    def headers() -> Iterator[Downward]:
        for route in range(64):
            tests = [
                tuple(
                    ValueMatch(f"h{i}", _expression(route * 128 + m * 16 + i), "RegularExpression") for i in range(16)
                )
                for m in range(8)
            ]
            yield _rule(route, 0, tuple(_match("", i, headers=test) for i, test in enumerate(tests)))
            yield RemoveRule(f"L00000|HTTPRoute|a/r{route:05}|1")

    yield "8,192 expressions of headers, 128 in a rule", headers()
    yield "removed", [RemoveRule(f"L00000|HTTPRoute|a/r{route:05}|0") for route in range(64)]


def routes() -> Iterator[Step]:
    """5,000 routes, as rules, matches, hostnames and values."""
    yield "listener", [_listener(), SetEndpoints("a/x:80", (Endpoint("127.0.0.1", 9),))]

    def small(version: int) -> Iterator[Downward]:
        for route in range(5000):
            yield _rule(route, 0, (_match(f"/{version}/{route}", 0),))

    yield "5,000 routes", small(0)
    yield "all changed", small(1)

    def wide() -> Iterator[Downward]:
        for route in range(5000):
            for index in range(16):
                yield _rule(route, index, (_match(f"/{route}/{index}", 0),))

    yield "5,000 routes with 16 rules", wide()
    yield "one changed", [_rule(17, 0, (_match("/other", 0),))]
    yield (
        "all removed",
        [RemoveRule(f"L00000|HTTPRoute|a/r{route:05}|{index}") for route in range(5000) for index in range(16)],
    )

    def matches(kind: str) -> Iterator[Downward]:
        for route in range(5000):
            many = tuple(_match(f"/{route}/{i}/a/b/c/d", i, kind) for i in range(64))
            yield _rule(route, 0, many)

    yield "5,000 rules with 64 paths", matches("PathPrefix")
    yield "5,000 rules with 64 exact paths", matches("Exact")
    yield "all removed again", [RemoveRule(f"L00000|HTTPRoute|a/r{route:05}|0") for route in range(5000)]


def conditions() -> Iterator[Step]:
    """10,000 matches with conditions of one path."""
    yield "listener", [_listener(), SetEndpoints("a/x:80", (Endpoint("127.0.0.1", 9),))]

    def different(names: int) -> Iterator[Downward]:
        for route in range(160):
            tests = (
                tuple(ValueMatch(f"n{(route * 64 + i) % names}-{k}", "v" * 20) for k in range(16)) for i in range(64)
            )
            yield _rule(route, 0, tuple(_match("", -(route * 64 + i), headers=test) for i, test in enumerate(tests)))

    yield "10,240 sets of 16 headers", different(10_240)
    yield "the same, 100 sets", different(100)

    def unsure() -> Iterator[Downward]:
        for route in range(160):
            test = (ValueMatch("a", "[0-9]", "RegularExpression"),)
            yield _rule(route, 0, tuple(_match("", -(route * 64 + i), headers=test) for i in range(64)))

    yield "10,240 expressions of one header", unsure()
    yield "removed", [RemoveRule(f"L00000|HTTPRoute|a/r{route:05}|0") for route in range(160)]


def sizes() -> Iterator[Step]:
    """A rule of 1.5 MB, the largest object that an API server stores."""
    yield "listener", [_listener(), SetEndpoints("a/x:80", (Endpoint("127.0.0.1", 9),))]
    tests = tuple(ValueMatch(f"n{k}", "v" * 4096) for k in range(16))
    yield "values of headers", [_rule(0, 0, tuple(_match("", i, headers=tests) for i in range(23)))]
    values = tuple(HeaderValue(f"n{k}", "v" * 4096) for k in range(16))
    filter = HeaderModifier(direction="request", set=values, add=values)
    filters = tuple(WeightedBackend(weight=1, backend="a/x:80", filters=(filter,)) for _ in range(11))
    one = _rule(0, 0, (_match("", 0),)).rule
    yield "values of filters", [UpsertRule(msgspec.structs.replace(one, backends=filters))]
    names = tuple(f"h{i}.example.com" for i in range(16))
    yield "16 hostnames", [_rule(i, 0, (_match(f"/{i}", 0),), hostnames=names) for i in range(1000)]


def hostnames() -> Iterator[Step]:
    """5,000 routes with 16 hostnames each; 5,000 listeners."""
    yield "listener", [_listener(), SetEndpoints("a/x:80", (Endpoint("127.0.0.1", 9),))]

    def routes(version: int) -> Iterator[Downward]:
        for route in range(5000):
            names = tuple(f"h{route}-{i}.{version}.example.com" for i in range(16))
            yield _rule(route, 0, (_match("", 0),), hostnames=names)

    yield "80,000 hostnames", routes(0)
    yield "one changed", [_rule(3, 0, (_match("", 0),), hostnames=("x.example.com",))]
    yield "all changed", routes(1)
    yield "removed", [RemoveRule(f"L00000|HTTPRoute|a/r{route:05}|0") for route in range(5000)]
    listeners = [_listener(number=i) for i in range(1, 5000)]
    yield "5,000 listeners", listeners
    yield "removed listeners", [RemoveListener(f"L{i:05}") for i in range(1, 5000)]


# --- endpoints and sockets


def _addresses(count: int, first: int = 0) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", 80) for i in range(first, first + count))


def endpoints() -> Iterator[Step]:
    """Services with many endpoints, and many Services."""
    yield "a Service with 10,000", [SetEndpoints("a/x:80", _addresses(10_000))]
    yield "a Service with 100,000", [SetEndpoints("a/x:80", _addresses(100_000))]
    yield "all 100,000 others", [SetEndpoints("a/x:80", _addresses(100_000, 100_000))]
    yield "removed", [RemoveEndpoints("a/x:80")]
    services = [f"a/{i}:80" for i in range(5000)]
    yield (
        "5,000 Services with 20",
        [
            *(UpsertBackend(id, Backend()) for id in services),
            *(SetEndpoints(id, _addresses(20, 20 * i)) for i, id in enumerate(services)),
        ],
    )
    yield (
        "5,000 Services removed",
        [*(RemoveEndpoints(id) for id in services), *(RemoveBackend(id) for id in services)],
    )


def sockets() -> Iterator[Step]:
    """1,024 ports."""
    places = [Place(Transport.TCP, "127.0.0.1", port) for port in range(20_000, 21_024)]
    yield (
        "1,024 ports",
        [
            *(_listener(place.port, i) for i, place in enumerate(places)),
            *(Listen(place, 0) for place in places),
        ],
    )
    yield "one listener more", [_listener(81, 2000)]
    yield (
        "1,024 ports closed",
        [
            *(RemoveListener(f"L{i:05}") for i in range(1024)),
            *(Unlisten(place, 0) for place in places),
        ],
    )


CASES: dict[str, Callable[[], Iterator[Step]]] = {
    "certificates": certificates,
    "expressions": expressions,
    "routes": routes,
    "conditions": conditions,
    "sizes": sizes,
    "hostnames": hostnames,
    "endpoints": endpoints,
    "sockets": sockets,
}
