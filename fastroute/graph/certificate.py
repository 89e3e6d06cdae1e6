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

from fastroute.ext.tls import certificate as loader
from fastroute.resources.core import CHAIN, KEY, Secret
from fastroute.resources.meta import Key
from fastroute.snapshot import Certificate

LEAST_RSA = 2048  # bits; the minimum of OpenSSL's security level 2
MOST_RSA = 4096  # bits; a signature costs a worker 3 ms, of a key of 16,384 bits 230 ms
MOST_ISSUER_RSA = 16384  # bits, of the other certificates; OpenSSL verifies no signature of larger keys
MOST_KEY = 65_536  # bytes of tls.key
PRIMES_APART = 8  # bits; with primes of different sizes, a signature costs up to five times as much
CURVES = ("secp256r1", "secp384r1", "secp521r1")
USUAL_EXPONENT = 32  # bits
BEGIN = b"-----BEGIN CERTIFICATE-----"
WEAK = (hashes.MD5, hashes.SHA1)
UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.InvalidVersion)  # exceptions that parsing a certificate may raise
LINES = "its BEGIN and END must be lines of their own, with nothing before them"
SERVED = "RSA of 2048 to 4096 bits, ECDSA on P-256, P-384 or P-521, or Ed25519"
MENDS = {  # by the part that OpenSSL rejects
    loader.CHAIN: f"write each certificate of {CHAIN} as its issuer gave it, {LINES}",
    loader.KEY: f"write the private key in {KEY} as it was made, {LINES}",
    loader.PAIR: f"put the whole private key in {KEY} that the first certificate of {CHAIN} was made with, or have one "
    f"issued for a new key ({SERVED})",
    loader.SIZE: f"keep only what clients need in {CHAIN}: the certificate and those that issued it, without the root",
    loader.STRENGTH: f"have it issued again, for {SERVED}, and signed with SHA-256",
}
UNREADABLE_EXTENSION = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class CertificateNode(msgspec.Struct, frozen=True, kw_only=True):
    """A Secret with a certificate that a listener or a Gateway can use, or the reason why none can."""

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
    """Secrets that were judged: `known` by earlier builds, `judged` in this one."""

    def __init__(self, known: Mapping[Key, CertificateNode]) -> None:
        self.judged: dict[Key, CertificateNode] = {}
        self._known = known

    def certificate(self, secret: Secret) -> CertificateNode:
        known = self.judged.get(secret.key) or self._known.get(secret.key)
        if known is not None and (known.source.data, known.source.omission) == (secret.data, secret.omission):
            return known
        self.judged[secret.key] = made = judge(secret)
        return made


def judge(secret: Secret) -> CertificateNode:
    try:
        return _judged(secret)
    except _MistakeError as error:
        return CertificateNode(source=secret, mistake=str(error))
    except Exception:  # parsers raise undocumented exceptions, and one Secret must not break the whole configuration
        return CertificateNode(source=secret, mistake=f"has something in {CHAIN} or {KEY} that cannot be read")


def _judged(secret: Secret) -> CertificateNode:
    if secret.omission:
        raise _MistakeError(secret.omission)
    chain, key = _part(secret, CHAIN), _part(secret, KEY)
    certificates = _certificates(chain)
    leaf = certificates[0]
    names = _names(leaf)
    private_key = _private_key(key)
    _fit(leaf, private_key)
    consistent = _is_consistent(private_key)
    if not consistent and isinstance(private_key, rsa.RSAPrivateKey):
        _limit(private_key)
    certificate = Certificate(chain=chain, key=key)
    _load(certificate, len(certificates), sign=not consistent)
    return CertificateNode(
        source=secret,
        certificate=Certificate(chain=_pem(certificates), key=key),
        signs="RSA" if isinstance(private_key, rsa.RSAPrivateKey) else "ECDSA",
        names=names,
        not_before=int(leaf.not_valid_before_utc.timestamp()),
        not_after=int(leaf.not_valid_after_utc.timestamp()),
    )


def _pem(certificates: list[x509.Certificate]) -> bytes:
    """Without comments and in lines of the usual length: the work of workers then depends only on the certificates."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def _part(secret: Secret, name: str) -> bytes:
    if name not in secret.data:
        raise _MistakeError(f"has no {name}")
    content = base64.b64decode(secret.data[name])
    if not content.strip():
        raise _MistakeError(f"has nothing in {name}")
    return content


def _certificates(chain: bytes) -> list[x509.Certificate]:
    if (count := chain.count(BEGIN)) > loader.CERTIFICATES_MOST:
        raise _MistakeError(
            f"has {count} certificates in {CHAIN} (maximum {loader.CERTIFICATES_MOST}): {MENDS[loader.SIZE]}"
        )
    try:
        certificates = x509.load_pem_x509_certificates(chain)
        mosts = (MOST_RSA, *(MOST_ISSUER_RSA for _ in certificates[1:]))
        weak = next(filter(None, map(_weakness, certificates, mosts)), None)
    except UNREADABLE:
        raise _MistakeError(f"has no readable chain of PEM certificates in {CHAIN}") from None
    if count != len(certificates):
        raise _MistakeError(f"has a chain of PEM certificates in {CHAIN} that is cut off")
    if weak:
        raise _MistakeError(f"has a certificate {weak} in {CHAIN}")
    if (size := sum(len(one.public_bytes(Encoding.DER)) for one in certificates)) > loader.CHAIN_BYTES_MOST:
        raise _MistakeError(
            f"has {size} bytes of certificates in {CHAIN} (maximum {loader.CHAIN_BYTES_MOST}): {MENDS[loader.SIZE]}"
        )
    return certificates


def _weakness(certificate: x509.Certificate, most_rsa: int) -> str | None:
    algorithm, key = certificate.signature_hash_algorithm, certificate.public_key()
    if isinstance(algorithm, WEAK) and certificate.issuer != certificate.subject:
        return f"signed with {algorithm.name.upper()}, which no client trusts,"
    if isinstance(key, rsa.RSAPublicKey) and not LEAST_RSA <= key.key_size <= most_rsa:
        return f"for an RSA key of {key.key_size} bits (minimum {LEAST_RSA}, maximum {most_rsa})"
    return None


def _private_key(text: bytes) -> PrivateKey:
    if len(text) > MOST_KEY:
        raise _MistakeError(f"has a {KEY} of {len(text)} bytes (maximum {MOST_KEY})")
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
    """Whether the parts of an RSA key are consistent (RFC 8017, section 3.2), so that no test signature is needed, and
    a signature costs what its size says."""
    if not isinstance(key, rsa.RSAPrivateKey):
        return False
    own = key.private_numbers()
    public = own.public_numbers
    if own.p < 3 or own.q < 3 or own.p * own.q != public.n or public.e.bit_length() > USUAL_EXPONENT:
        return False
    if abs(own.p.bit_length() - own.q.bit_length()) > PRIMES_APART:
        return False
    return (own.iqmp * own.q % own.p, own.dmp1, own.dmq1) == (1, own.d % (own.p - 1), own.d % (own.q - 1)) and all(
        own.d * public.e % (prime - 1) == 1 for prime in (own.p, own.q)
    )


def _limit(key: rsa.RSAPrivateKey) -> None:
    """Limits the cost of a signature with an RSA key whose parts are not consistent. OpenSSL uses each exponent as it
    is written, even if it is long, and computes a wrong signature again with the private exponent."""
    own = key.private_numbers()
    parts = (own.p, own.q, own.d, own.dmp1, own.dmq1, own.iqmp, own.public_numbers.e)
    if key.key_size > LEAST_RSA or max(part.bit_length() for part in parts) > key.key_size:
        raise _MistakeError(
            f"has an RSA private key in {KEY} whose parts are not consistent, so that a signature costs too much "
            f"(such keys are served up to {LEAST_RSA} bits): {MENDS[loader.PAIR]}"
        )


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    """The DNS names in its subjectAltName; current clients ignore the common name."""
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    except UNREADABLE_EXTENSION:
        raise _MistakeError(f"has a certificate in {CHAIN} with an extension that cannot be read") from None
    if (count := len(extension.value)) > loader.ALTERNATIVES_MOST:
        words = f"has a certificate with {count} names in {CHAIN} (maximum {loader.ALTERNATIVES_MOST})"
        raise _MistakeError(f"{words}: use several certificates")
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
