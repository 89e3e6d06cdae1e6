"""Certificates: validates the content of a Secret once. The Secret is parsed with `cryptography`, which has better
error messages and provides names and times, then with the loader that workers use (ext): what it rejects cannot be
served.

A Secret of any type is accepted if `tls.crt` contains a chain (the server's own certificate first) and `tls.key` its
private key. Messages never contain any part of a key. A certificate that is expired or not yet valid is served anyway:
its owner decides what to do about it, and `check` warns.
"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from fastroute.ext import certificate as loader
from fastroute.resources.core import Secret
from fastroute.resources.meta import Key
from fastroute.snapshot import Certificate

CHAIN, KEY = "tls.crt", "tls.key"
LEAST_RSA = 2048  # bits; the minimum of OpenSSL's security level 2
MOST_RSA = 16384  # bits; OpenSSL does not verify signatures of larger keys
CURVES = ("secp256r1", "secp384r1", "secp521r1")
USUAL_EXPONENT = 32  # bits
BEGIN = b"-----BEGIN CERTIFICATE-----"
WEAK = (hashes.MD5, hashes.SHA1)
UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.InvalidVersion)  # exceptions that parsing a certificate may raise
LINES = "its BEGIN and END must be lines of their own, with nothing before them"
SERVED = "RSA from 2048 bits, ECDSA on P-256, P-384 or P-521, or Ed25519"
MENDS = {  # by the part that OpenSSL rejects
    loader.CHAIN: f"write each certificate of {CHAIN} as its issuer gave it, {LINES}",
    loader.KEY: f"write the private key in {KEY} as it was made, {LINES}",
    loader.PAIR: f"put the whole private key in {KEY} that the first certificate of {CHAIN} was made with, or have one "
    f"issued for a new key ({SERVED})",
    loader.STRENGTH: f"have it issued again, for {SERVED}, and signed with SHA-256",
}
UNREADABLE_EXTENSION = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class CertificateNode(msgspec.Struct, frozen=True, kw_only=True):
    """A Secret that a listener can use as its certificate, or the reason why it cannot."""

    source: Secret
    certificate: Certificate | None = None
    mistake: str | None = None  # "has no tls.key"
    signs: str = ""  # "RSA" or "ECDSA": the TLS 1.2 ciphers that work with its key (Ed25519: ECDSA ciphers, RFC 8422)
    names: tuple[str, ...] = ()  # DNS names in the certificate, in lower case
    not_before: int = 0  # seconds since the epoch
    not_after: int = 0

    @property
    def id(self) -> str:
        return str(self.source.key)


class _MistakeError(Exception):
    """What is wrong, as text that follows "Secret ns/name"."""


class Vault:
    """The Secrets that references are resolved against. Records which were read: the dependencies for the memo."""

    def __init__(self, secrets: Mapping[Key, Secret], known: Mapping[Key, CertificateNode]) -> None:
        self.looked_at: set[Key] = set()
        self.judged: dict[Key, CertificateNode] = {}  # in this build
        self._secrets = secrets
        self._known = known

    def certificate(self, key: Key) -> CertificateNode | None:
        """The node of the Secret; None if the Secret does not exist."""
        self.looked_at.add(key)
        secret = self._secrets.get(key)
        if secret is None:
            return None
        known = self.judged.get(key) or self._known.get(key)
        if known is not None and known.source.data == secret.data:
            return known
        self.judged[key] = judge(secret)
        return self.judged[key]


def judge(secret: Secret) -> CertificateNode:
    try:
        return _judged(secret)
    except _MistakeError as error:
        return CertificateNode(source=secret, mistake=str(error))
    except Exception:  # parsers raise undocumented exceptions, and one Secret must not break the whole configuration
        return CertificateNode(source=secret, mistake=f"has something in {CHAIN} or {KEY} that cannot be read")


def _judged(secret: Secret) -> CertificateNode:
    chain, key = _part(secret, CHAIN), _part(secret, KEY)
    certificates = _certificates(chain)
    leaf = certificates[0]
    names = _names(leaf)
    private_key = _private_key(key)
    _fit(leaf, private_key)
    certificate = Certificate(chain=chain, key=key)
    _load(certificate, len(certificates), sign=not _is_consistent(private_key))
    return CertificateNode(
        source=secret,
        certificate=Certificate(chain=_pem(certificates), key=key),
        signs="RSA" if isinstance(private_key, rsa.RSAPrivateKey) else "ECDSA",
        names=names,
        not_before=int(leaf.not_valid_before_utc.timestamp()),
        not_after=int(leaf.not_valid_after_utc.timestamp()),
    )


def _pem(certificates: list[x509.Certificate]) -> bytes:
    """Without comments and in lines of the usual length: what workers read then depends only on the certificates."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def _part(secret: Secret, name: str) -> bytes:
    if name not in secret.data:
        raise _MistakeError(f"has no {name}")
    content = base64.b64decode(secret.data[name])
    if not content.strip():
        raise _MistakeError(f"has nothing in {name}")
    return content


def _certificates(chain: bytes) -> list[x509.Certificate]:
    try:
        certificates = x509.load_pem_x509_certificates(chain)
        weak = next(filter(None, map(_weakness, certificates)), None)
    except UNREADABLE:
        raise _MistakeError(f"has no readable chain of PEM certificates in {CHAIN}") from None
    if chain.count(BEGIN) != len(certificates):
        raise _MistakeError(f"has a chain of PEM certificates in {CHAIN} that is cut off")
    if weak:
        raise _MistakeError(f"has a certificate {weak} in {CHAIN}")
    return certificates


def _weakness(certificate: x509.Certificate) -> str | None:
    algorithm, key = certificate.signature_hash_algorithm, certificate.public_key()
    if isinstance(algorithm, WEAK) and certificate.issuer != certificate.subject:
        return f"signed with {algorithm.name.upper()}, which no client trusts,"
    if isinstance(key, rsa.RSAPublicKey) and not LEAST_RSA <= key.key_size <= MOST_RSA:
        return f"for an RSA key of {key.key_size} bits (minimum {LEAST_RSA}, maximum {MOST_RSA})"
    return None


def _private_key(text: bytes) -> PrivateKey:
    try:
        key = load_pem_private_key(text, None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        raise _MistakeError(f"has an encrypted private key in {KEY}: it must not need a password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _MistakeError(f"has no readable PEM private key in {KEY}") from None
    if not isinstance(key, PrivateKey):
        raise _MistakeError(f"has a private key in {KEY} of a kind that is not served: RSA, ECDSA and Ed25519 are")
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name not in CURVES:
        raise _MistakeError(f"has a private key in {KEY} on a curve that is not served: P-256, P-384 and P-521 are")
    return key


def _fit(leaf: x509.Certificate, key: PrivateKey) -> None:
    try:
        theirs = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        raise _MistakeError(f"has a certificate in {CHAIN} whose public key cannot be read") from None
    if theirs != key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise _MistakeError(f"has a private key in {KEY} that does not belong to the first certificate of {CHAIN}")


def _load(certificate: Certificate, count: int, *, sign: bool) -> None:
    """Load as workers do: must yield `count` certificates, and a signature if `sign`."""
    try:
        loaded = loader.judge(certificate, sign=sign)
    except loader.CertificateError as error:
        raise _MistakeError(f"has content that OpenSSL rejects ({error}): {MENDS[error.part]}") from None
    if loaded < count:
        words = f"has {count} certificates in {CHAIN} of which OpenSSL reads {loaded}: {MENDS[loader.CHAIN]}"
        raise _MistakeError(words)


def _is_consistent(key: PrivateKey) -> bool:
    """Whether the parts of an RSA key are consistent (RFC 8017, section 3.2), so that no test signature is needed."""
    if not isinstance(key, rsa.RSAPrivateKey):
        return False
    own = key.private_numbers()
    public = own.public_numbers
    if own.p < 3 or own.q < 3 or own.p * own.q != public.n or public.e.bit_length() > USUAL_EXPONENT:
        return False
    return (own.iqmp * own.q % own.p, own.dmp1, own.dmq1) == (1, own.d % (own.p - 1), own.d % (own.q - 1)) and all(
        own.d * public.e % (prime - 1) == 1 for prime in (own.p, own.q)
    )


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    """The DNS names in its subjectAltName; current clients ignore the common name."""
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    except UNREADABLE_EXTENSION:
        raise _MistakeError(f"has a certificate in {CHAIN} with an extension that cannot be read") from None
    return tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))


# --- Names and times


def certifies(name: str, hostname: str) -> bool:
    """Whether a certificate for `name` covers every host of a listener's `hostname`, as far as possible: a wildcard of
    a certificate matches one label (RFC 9525, section 6.3), that of a listener any number.

    >>> certifies("*.example.com", "a.example.com"), certifies("*.example.com", "a.b.example.com")
    (True, False)
    """
    if name == hostname:
        return True
    return name.startswith("*.") and not hostname.startswith("*") and hostname.partition(".")[2] == name[2:]


def out_of_time(node: CertificateNode, now: float) -> str | None:
    """Why clients will reject the certificate at `now` (seconds since the epoch), as text that follows its name; or
    None."""
    if now > node.not_after:
        return f"expired on {_day(node.not_after)}"
    return f"is not valid before {_day(node.not_before)}" if now < node.not_before else None


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
