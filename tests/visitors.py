"""Clients with certificates: the CAs that issue these, and what a client shows."""

import datetime
import ssl
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from certificates import NOW, Key, trusting
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fastroute.snapshot import Certificate, ClientValidation

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


class Issuer(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def called(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, since: float, days: float) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + datetime.timedelta(days=since))
        .not_valid_after(NOW + datetime.timedelta(days=days))
    )


@cache
def issuer(name: str, parent: str = "") -> Issuer:
    """A CA; its own issuer if it has no parent."""
    key = ec.generate_private_key(ec.SECP256R1())
    above = issuer(parent) if parent else None
    builder = _builder(called(name), called(parent or name), key, -30, 30)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    return Issuer(builder.sign(above.key if above else key, hashes.SHA256()), key)


@cache
def long_key() -> rsa.RSAPrivateKey:
    """An RSA key whose signatures are expensive to verify."""
    return rsa.generate_private_key(public_exponent=65537, key_size=4104)


def visitor(
    signer: Issuer,
    subject: x509.Name | str = "visitor",
    *names: x509.GeneralName,
    since: float = -30,
    days: float = 30,
    purpose: x509.ObjectIdentifier = CLIENT,
    key: Key | None = None,
    more: Sequence[Issuer] = (),
    extensions: int = 0,
) -> Certificate:
    """The certificate of a client. `more`: issuers that it shows as well."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    named = called(subject) if isinstance(subject, str) else subject
    builder = _builder(named, signer.certificate.subject, key, since, days)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    for number in range(extensions):
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.3.6.1.4.1.99999.{number}"), b"\x05\x00")
        builder = builder.add_extension(unknown, False)
    signed = builder.sign(signer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return Certificate(
        b"".join((signed, *(one.pem for one in more))),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def showing(
    shown: Certificate | None, *, most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, alpn: Sequence[str] = ()
) -> ssl.SSLContext:
    """The TLS of a client that shows this certificate, or none."""
    context = trusting(most=most, alpn=alpn)
    if shown is not None:
        with tempfile.TemporaryDirectory() as folder:
            chain, key = Path(folder, "chain"), Path(folder, "key")
            chain.write_bytes(shown.chain)
            key.write_bytes(shown.key)
            context.load_cert_chain(chain, key)
    return context


def accepting(*issuers: Issuer, optional: bool = False) -> ClientValidation:
    return ClientValidation(trust_anchors=b"".join(one.pem for one in issuers), optional=optional)
