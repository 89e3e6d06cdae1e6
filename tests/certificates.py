"""Certificates for tests, signed by a test CA, and client contexts that trust this CA."""

import datetime
import ssl
from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from fastroute.snapshot import Certificate

Kind = Literal["ecdsa", "rsa"]
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
NOW = datetime.datetime.now(datetime.UTC)


class Authority(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _built(subject: str, key: Key, issuer: str, days: float) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(days=30))
        .not_valid_after(NOW + datetime.timedelta(days=days))
    )


@cache
def authority() -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _built("tests", key, "tests", 30).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    return Authority(builder.sign(key, hashes.SHA256()), key)


@cache
def _key(kind: Kind, size: int) -> Key:
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=size)
    return ec.generate_private_key(ec.SECP256R1())


@cache
def certificate(*names: str, kind: Kind = "ecdsa", size: int = 2048, days: float = 30) -> Certificate:
    """A certificate for these host names; `size` is the number of bits of an RSA key."""
    key = _key(kind, size)
    signer = authority()
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    built = _built(names[0], key, "tests", days).add_extension(alternatives, False).sign(signer.key, hashes.SHA256())
    return Certificate(
        built.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def trusting(
    *, most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, ciphers: str = "", alpn: Sequence[str] = ()
) -> ssl.SSLContext:
    """A client context that trusts the CA."""
    context = ssl.create_default_context(cadata=authority().pem)
    context.maximum_version = most
    if ciphers:
        context.set_ciphers(ciphers)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context
