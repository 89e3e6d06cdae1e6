"""CA certificates of ConfigMaps and ClusterTrustBundles: validates the content of an object once, with the loader that
workers use (ext).

`ca.crt`, or `spec.trustBundle`, contains one or several PEM certificates. They are trust anchors: a backend is trusted
if one of them issued its certificate, directly or not. Comments and repeated certificates are dropped.
"""

import re
from collections.abc import Iterable, Mapping

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fastroute.ext.tls.anchors import ANCHORS_MOST, are_costly, judge_anchors
from fastroute.graph.certificate import BEGIN, LINES, UNREADABLE
from fastroute.resources.core import WithAuthorities
from fastroute.resources.meta import Key

BUNDLE = "ClusterTrustBundle"
PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.DOTALL)
PARSED = 42  # bytes of memory for each byte of PEM: 41 were measured for empty names, 14 for a small certificate
COSTLY = (
    "has a CA certificate whose signatures are too expensive to verify: use RSA keys up to 4,096 bits, ECDSA or Ed25519"
)


class AuthoritiesNode(msgspec.Struct, frozen=True, kw_only=True):
    """An object with CA certificates, or the reason why it has none that can be used."""

    source: WithAuthorities
    pem: bytes = b""
    count: int = 0  # of its certificates
    mistake: str | None = None  # "has no ca.crt"


class _MistakeError(Exception):
    """What is wrong, as text that follows the name of the object."""


class Shelf:
    """Objects that were judged: `known` by earlier builds, `judged` in this one. ConfigMaps have a namespace, so their
    keys are not those of ClusterTrustBundles. `no_bundles`: why there are no ClusterTrustBundles; empty: they are
    read."""

    def __init__(self, known: Mapping[Key, AuthoritiesNode], no_bundles: str = "") -> None:
        self.judged: dict[Key, AuthoritiesNode] = {}
        self.no_bundles = no_bundles
        self._known = known

    def authorities(self, source: WithAuthorities) -> AuthoritiesNode:
        known = self.judged.get(source.key) or self._known.get(source.key)
        if known is not None and (known.source.data, known.source.omission) == (source.data, source.omission):
            return known
        self.judged[source.key] = made = judge(source)
        return made


def judge(source: WithAuthorities) -> AuthoritiesNode:
    try:
        pem, count = _judged(source)
        return AuthoritiesNode(source=source, pem=pem, count=count)
    except _MistakeError as error:
        return AuthoritiesNode(source=source, mistake=str(error))
    except Exception:  # parsers raise undocumented exceptions, and one object must not break the whole configuration
        return AuthoritiesNode(source=source, mistake=f"has something in {source.entry} that cannot be read")


def _judged(source: WithAuthorities) -> tuple[bytes, int]:
    if source.omission:
        raise _MistakeError(source.omission)
    entry = source.entry
    mend = f"write each certificate of {entry} as its issuer gave it, {LINES}"
    if entry not in source.data:
        raise _MistakeError(f"has no {entry}, which must contain CA certificates as PEM")
    text = source.data[entry].encode()
    if not text.strip():
        raise _MistakeError(f"has nothing in {entry}")
    if (count := text.count(BEGIN)) > ANCHORS_MOST:
        raise _MistakeError(f"has {count:,} certificates in {entry} (maximum {ANCHORS_MOST:,})")
    try:
        certificates = x509.load_pem_x509_certificates(text)
    except UNREADABLE:
        raise _MistakeError(f"has no readable PEM certificates in {entry}: {mend}") from None
    if count != len(certificates):
        raise _MistakeError(f"has {count} certificates in {entry} of which {len(certificates)} are whole: {mend}")
    pem = b"".join(dict.fromkeys(each.public_bytes(Encoding.PEM) for each in certificates))
    try:
        judged = judge_anchors(pem)
    except ValueError as error:
        raise _MistakeError(f"has content in {entry} that OpenSSL rejects ({error})") from None
    if are_costly(pem):
        raise _MistakeError(COSTLY)
    return pem, judged


def merged(pems: tuple[bytes, ...]) -> bytes:
    """The certificates of several objects, each once."""
    return pems[0] if len(pems) == 1 else b"".join(dict.fromkeys(one for pem in pems for one in PEM.findall(pem)))


def memory_of(pems: Iterable[bytes]) -> int:
    """How many bytes of memory these CA certificates take at most in a worker. OpenSSL makes an object of each name in
    a certificate, so the number of certificates does not tell it."""
    return PARSED * sum(map(len, pems))
