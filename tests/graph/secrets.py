"""Self-signed certificates for tests, with any names and times; keys are generated once per kind and number."""

import base64
import functools
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from fastroute.resources.core import Secret
from fastroute.resources.meta import Metadata

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
START = datetime(2026, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)


@functools.cache
def private_key(kind: str, number: int = 0) -> PrivateKey:
    """A key of `kind` (rsa-2048, p256, …); a different one for each number."""
    match kind.split("-"):
        case ["rsa", bits]:
            return rsa.generate_private_key(65537, int(bits))
        case ["ed25519"]:
            return ed25519.Ed25519PrivateKey.generate()
        case ["ed448"]:
            return ed448.Ed448PrivateKey.generate()
        case [name]:
            curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1(), "k256": ec.SECP256K1()}
            return ec.generate_private_key(curves[name])
    raise ValueError(kind)


@functools.cache
def chain(
    *names: str, kind: str = "p256", number: int = 0, start: datetime = START, end: datetime | None = None
) -> bytes:
    """A PEM certificate for the DNS `names`."""
    key = private_key(kind, number)
    builder = _builder(key, start, end or start + 10 * YEAR)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, names))), critical=False)
    signed = builder.sign(key, None if kind.startswith("ed") else hashes.SHA256())
    return signed.public_bytes(Encoding.PEM)


def _builder(key: PrivateKey, start: datetime, end: datetime) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(end)
    )


def tampered(old: bytes, new: bytes) -> bytes:
    """A PEM certificate for a.example.com with `old` replaced by `new` (of equal length) and a valid signature.

    It has unknown extensions with the identifiers 1.2.3.4 and 1.2.3.5."""
    key = private_key("p256", 0)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    builder = _builder(key, START, START + 40 * YEAR)
    extensions = [x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.{n}"), b"\5\0") for n in (4, 5)]
    for extension in (x509.SubjectAlternativeName([x509.DNSName("a.example.com")]), *extensions):
        builder = builder.add_extension(extension, critical=False)
    content = builder.sign(key, hashes.SHA256()).tbs_certificate_bytes
    assert len(old) == len(new)
    assert content.count(old) == 1
    content = content.replace(old, new)
    signature = key.sign(content, ec.ECDSA(hashes.SHA256()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")  # ecdsa-with-SHA256
    whole = _der(0x30, content + algorithm + _der(0x03, b"\0" + signature))
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(whole) + b"-----END CERTIFICATE-----\n"


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    count = (size.bit_length() + 7) // 8  # number of octets in a long-form length
    length = bytes([size]) if size < 128 else bytes([0x80 | count]) + size.to_bytes(count, "big")
    return bytes([tag]) + length + content


def rsa_pem(**parts: int) -> bytes:
    """The key `rsa-2048` with some numbers replaced: n, e, d, p, q, dmp1, dmq1, iqmp (RFC 8017, appendix A.1.2)."""
    own = rsa_numbers()
    known = {name: getattr(own, name) for name in ("d", "p", "q", "dmp1", "dmq1", "iqmp")}
    numbers = (0, *({"n": own.public_numbers.n, "e": own.public_numbers.e, **known} | parts).values())
    body = b"".join(_der(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big")) for number in numbers)
    text = base64.encodebytes(_der(0x30, body))
    return b"-----BEGIN RSA PRIVATE KEY-----\n" + text + b"-----END RSA PRIVATE KEY-----\n"


def rsa_numbers(number: int = 0, kind: str = "rsa-2048") -> rsa.RSAPrivateNumbers:
    key = private_key(kind, number)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key.private_numbers()


def indented(pem: bytes) -> bytes:
    """PEM with indented lines, as after a wrong paste into YAML."""
    return b"".join(b"  " + line for line in pem.splitlines(keepends=True))


def key_pem(kind: str = "p256", number: int = 0, form: str = "PKCS8", password: bytes | None = None) -> bytes:
    """`form` is PKCS8 or TraditionalOpenSSL."""
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return private_key(kind, number).private_bytes(Encoding.PEM, getattr(PrivateFormat, form), encryption)


def secret(name: str, namespace: str, *names: str, kind: str = "p256", number: int = 0, **times: datetime) -> Secret:
    """A Secret with a certificate for `names` (default: a.example.com) and its key."""
    parts = {
        "tls.crt": chain(*(names or ("a.example.com",)), kind=kind, number=number, **times),
        "tls.key": key_pem(kind, number),
    }
    return plain_secret(name, namespace, parts)


def plain_secret(name: str, namespace: str, parts: dict[str, bytes]) -> Secret:
    data = {part: base64.b64encode(content).decode() for part, content in parts.items()}
    return Secret(metadata=Metadata(name=name, namespace=namespace), type="kubernetes.io/tls", data=data)
