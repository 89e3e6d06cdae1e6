"""Self-signed certificates, the Secrets that contain them, and clients that do not verify them."""

import base64
import socket
import ssl
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

NAMESPACE = "bench"
HOST = "bench.example.com"
_WITHIN = 10.0  # seconds to connect, and for each read


class Pems(NamedTuple):
    chain: bytes
    key: bytes


def self_signed(host: str = HOST, key: rsa.RSAPrivateKey | None = None) -> Pems:
    """A certificate for `host`; without `key` with a new P-256 key."""
    own = key or ec.generate_private_key(ec.SECP256R1())
    names = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(names)
        .issuer_name(names)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(own, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Pems(signed.public_bytes(pem), private)


def chain(host: str = HOST, bits: int = 4096, length: int = 9) -> tuple[Pems, bytes]:
    """A certificate for `host` behind `length - 1` CAs, and their root. All have one RSA key."""
    own = rsa.generate_private_key(65537, bits)
    now = datetime.now(UTC)
    made: list[bytes] = []
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"CA {number}")]) for number in range(length)]
    for number in range(length + 1):
        builder = x509.CertificateBuilder().issuer_name(names[max(number - 1, 0)]).public_key(own.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))
        if number < length:
            builder = builder.subject_name(names[number])
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        else:
            builder = builder.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]))
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        made.append(builder.sign(own, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    pem = serialization.Encoding.PEM
    private = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Pems(b"".join(reversed(made[1:])), private), made[0]


def secret(name: str, pems: Pems | None = None, namespace: str = NAMESPACE) -> dict[str, Any]:
    """Without `pems` with a new certificate for HOST."""
    chain, key = pems or self_signed()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name},
        "type": "kubernetes.io/tls",
        "data": {field: base64.b64encode(value).decode() for field, value in (("tls.crt", chain), ("tls.key", key))},
    }


def secret_document(name: str, pems: Pems | None = None, namespace: str = NAMESPACE) -> str:
    """A further document of a YAML stream."""
    return f"---\n{msgspec.json.encode(secret(name, pems, namespace)).decode()}\n"


# --- clients


def client_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def connect(port: int, host: str = HOST, source: str = "127.0.0.1") -> ssl.SSLSocket:
    """A connection after its handshake. `source`: the address of the client."""
    plain = socket.create_connection(("127.0.0.1", port), _WITHIN, (source, 0))
    return client_tls().wrap_socket(plain, server_hostname=host)
