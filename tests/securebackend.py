"""Backends that speak TLS, for the Rig, and how the gateway connects to them."""

import datetime
import ipaddress
import socket
import ssl
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import trio
from certificates import NOW, authority, certificate
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID
from peer import Peer, SecureStream
from rig import Script

from fastroute import snapshot

CA = authority().pem.encode()


@cache
def issued(
    *names: x509.GeneralName,
    common: str = "nobody",
    days: float = 30,
    own: bool = False,
    exponent: int = 0,
) -> snapshot.Certificate:
    """A certificate with these subject names; signed by its own key if `own`. `exponent`: of an RSA key."""
    key = ec.generate_private_key(ec.SECP256R1()) if exponent == 0 else rsa_key(exponent)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if own else authority().certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(days=40))
        .not_valid_after(NOW + datetime.timedelta(days=days))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    signed = builder.sign(key if own else authority().key, hashes.SHA256())
    return snapshot.Certificate(
        signed.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def rsa_key(exponent: int) -> rsa.RSAPrivateKey:
    """A key of 2,048 bits with this public exponent, a prime."""
    made = rsa.generate_private_key(65537, 2048).private_numbers()
    d = pow(exponent, -1, (made.p - 1) * (made.q - 1))
    numbers = rsa.RSAPrivateNumbers(
        made.p,
        made.q,
        d,
        rsa.rsa_crt_dmp1(d, made.p),
        rsa.rsa_crt_dmq1(d, made.q),
        made.iqmp,
        rsa.RSAPublicNumbers(exponent, made.p * made.q),
    )
    return numbers.private_key()


def beside(key: CertificatePublicKeyTypes) -> snapshot.Certificate:
    """A certificate for a.example.com, which is shown with one of this key that nothing needs."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "unneeded")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(authority().certificate.subject)
    builder = builder.public_key(key).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + datetime.timedelta(days=30))
    unneeded = builder.sign(authority().key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    shown = issued(dns("a.example.com"))
    return snapshot.Certificate(shown.chain + unneeded, shown.key)


def dns(name: str) -> x509.DNSName:
    return x509.DNSName(name)


def uri(name: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(name)


def address(text: str) -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_address(text))


def showing(
    shown: snapshot.Certificate | None = None,
    *,
    most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    alpn: Sequence[str] = (),
    clients: bool = False,
) -> ssl.SSLContext:
    """The context of a backend with this certificate; `clients`: it requires one of its client."""
    shown = shown or certificate("a.example.com")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = most
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pem"
        path.write_bytes(shown.chain + shown.key)
        context.load_cert_chain(path)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=authority().pem)
    return context


def tls_to(name: str = "a.example.com", **settings: Any) -> snapshot.Backend:
    return snapshot.Backend(tls=snapshot.BackendTLS(server_name=name, **{"trust_anchors": CA, **settings}))


def secured(context: ssl.SSLContext, script: Script, seen: list[ssl.SSLObject] | None = None) -> Script:
    """The script, over TLS. `seen`: gets the TLS object of each established connection."""

    async def script_in_tls(peer: Peer) -> None:
        assert isinstance(peer.stream, trio.SocketStream)
        stream = SecureStream.__new__(SecureStream)
        stream.tls = trio.SSLStream(peer.stream, context, server_side=True)
        stream.socket = peer.stream.socket
        stream.send_all, stream.receive_some = stream.tls.send_all, stream.tls.receive_some
        stream.aclose, stream.send_eof = stream.tls.aclose, peer.stream.send_eof
        await stream.tls.do_handshake()
        if seen is not None:
            seen.append(stream.tls)  # type: ignore[arg-type]
        await script(Peer(stream))

    return script_in_tls


def like(name: str) -> snapshot.BackendTLS:
    """For tests in which TLS tells pool keys apart: any `name` works with the certificate of `either`."""
    return snapshot.BackendTLS(server_name=name, trust_anchors=CA, subject_names=("a.example.com",))


def either(script: Script) -> Script:
    """The script, over TLS if the client begins with that."""

    async def script_in_either(peer: Peer) -> None:
        first = await peer.stream.socket.recv(1, socket.MSG_PEEK)  # type: ignore[misc]
        await (secured(shown_once(), script) if first == b"\x16" else script)(peer)

    return script_in_either


@cache
def shown_once() -> ssl.SSLContext:
    return showing(alpn=("h2", "http/1.1"))
