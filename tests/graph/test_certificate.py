"""The content of a Secret: served, or reported with the reason, never with a part of the key."""

import base64

import pytest
from graph.secrets import chain, indented, key_pem, plain_secret, rsa_numbers, rsa_pem, secret, tampered

from fastroute.graph.certificate import Vault, judge
from fastroute.resources.core import Secret
from fastroute.resources.meta import Key
from fastroute.source.store import Apply

GOOD, KEY = chain("a.example.com"), key_pem()
STRANGE_VERSION = tampered(b"\xa0\3\2\1\2", b"\xa0\3\2\1\x09")
STRANGE_NAME = tampered(b"\x82\x0da.ex", b"\x83\x0da.ex")
STRANGE_YEAR = tampered(b"2065", b"0000")
RSA = chain("a.example.com", kind="rsa-2048")
SIGNER = chain("b.example.com", number=1)
LONG = chain(*(f"{number}.example.com" for number in range(4000)), number=1)
OWN, OTHER = rsa_numbers(), rsa_numbers(1)
OF_ANOTHER = {name: getattr(OTHER, name) for name in ("d", "p", "q", "dmp1", "dmq1", "iqmp")}
TWICE = tampered(b"\6\3\x2a\3\5", b"\6\3\x2a\3\4")  # the same extension twice


@pytest.mark.parametrize("kind", ["rsa-2048", "rsa-4096", "p256", "p384", "p521", "ed25519"])
@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_kinds_of_keys(kind: str, form: str) -> None:
    if kind == "ed25519":
        form = "PKCS8"
    parts = {"tls.crt": chain("a.example.com", kind=kind), "tls.key": key_pem(kind, form=form)}
    node = judge(plain_secret("s", "certs", parts))
    assert node.mistake is None
    assert node.certificate is not None
    assert (node.certificate.chain, node.certificate.key) == (parts["tls.crt"], parts["tls.key"])


def test_names_and_times() -> None:
    node = judge(secret("s", "certs", "A.example.com", "*.example.com"))
    assert node.id == "certs/s"
    assert node.names == ("a.example.com", "*.example.com")
    assert (node.not_before, node.not_after) == (1767225600, 2082585600)
    assert judge(plain_secret("s", "certs", {"tls.crt": chain(), "tls.key": KEY})).names == ()


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({}, "has no tls.crt"),
        ({"tls.crt": GOOD}, "has no tls.key"),
        ({"tls.key": KEY}, "has no tls.crt"),
        ({"tls.crt": b" \n", "tls.key": KEY}, "has nothing in tls.crt"),
        ({"tls.crt": GOOD, "tls.key": b""}, "has nothing in tls.key"),
        ({"tls.crt": b"Hello world", "tls.key": KEY}, "no readable chain of PEM certificates in tls.crt"),
        ({"tls.crt": GOOD + GOOD[:200], "tls.key": KEY}, "a chain of PEM certificates in tls.crt that is cut off"),
        ({"tls.crt": KEY, "tls.key": KEY}, "no readable chain of PEM certificates in tls.crt"),
        ({"tls.crt": STRANGE_VERSION, "tls.key": KEY}, "no readable chain of PEM"),
        ({"tls.crt": STRANGE_NAME, "tls.key": KEY}, "an extension that cannot be read"),
        ({"tls.crt": STRANGE_YEAR, "tls.key": KEY}, "something in tls.crt or tls.key that cannot be read"),
        ({"tls.crt": TWICE, "tls.key": KEY}, "an extension that cannot be read"),
        ({"tls.crt": GOOD, "tls.key": GOOD}, "no readable PEM private key in tls.key"),
        ({"tls.crt": GOOD, "tls.key": b"Hello world"}, "no readable PEM private key in tls.key"),
        ({"tls.crt": GOOD, "tls.key": key_pem(password=b"x")}, "an encrypted private key in tls.key"),
        ({"tls.crt": GOOD, "tls.key": key_pem(number=1)}, "does not belong to the first certificate of tls.crt"),
        ({"tls.crt": chain(number=1) + GOOD, "tls.key": KEY}, "does not belong to the first certificate of tls.crt"),
        ({"tls.crt": GOOD, "tls.key": key_pem("rsa-2048")}, "does not belong to the first certificate of tls.crt"),
        ({"tls.crt": chain(kind="rsa-1024"), "tls.key": key_pem("rsa-1024")}, "for an RSA key of 1024 bits"),
        ({"tls.crt": GOOD + SIGNER * 10, "tls.key": KEY}, "has 11 certificates in tls.crt (maximum 10): keep only"),
        ({"tls.crt": GOOD + LONG, "tls.key": KEY}, "bytes of certificates in tls.crt (maximum 65536): keep only"),
        ({"tls.crt": chain(*map(str, range(1001))), "tls.key": KEY}, "has a certificate with 1001 names in tls.crt"),
        ({"tls.crt": chain(kind="rsa-4104"), "tls.key": KEY}, "an RSA key of 4104 bits (minimum 2048, maximum 4096)"),
        ({"tls.crt": GOOD, "tls.key": KEY + b"\n" * 65_536}, "(maximum 65536)"),
        ({"tls.crt": chain(kind="k256"), "tls.key": key_pem("k256")}, "on a curve that is not served"),
        ({"tls.crt": chain(kind="ed448"), "tls.key": key_pem("ed448")}, "of a kind that is not served"),
    ],
)
def test_mistakes(parts: dict[str, bytes], words: str) -> None:
    node = judge(plain_secret("s", "certs", parts))
    assert node.certificate is None
    assert node.mistake is not None
    assert words in node.mistake


LINES = "BEGIN and END must be lines of their own"
SIGNATURE = "has content that OpenSSL rejects (the private key cannot make a signature that its certificate verifies"


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"tls.crt": GOOD.rstrip() + SIGNER, "tls.key": KEY}, ("(certificate 1 of the chain cannot be read: ", LINES)),
        ({"tls.crt": indented(GOOD), "tls.key": KEY}, ("(certificate 1 of the chain cannot be read: ", LINES)),
        ({"tls.crt": GOOD.replace(b"\n", b"\r"), "tls.key": KEY}, ("(certificate 1 of the chain", LINES)),
        (
            {"tls.crt": GOOD + indented(SIGNER), "tls.key": KEY},
            ("2 certificates in tls.crt of which OpenSSL reads 1", LINES),
        ),
        ({"tls.crt": GOOD + SIGNER.rstrip() + SIGNER, "tls.key": KEY}, ("(certificate 2 of the chain", LINES)),
        ({"tls.crt": GOOD, "tls.key": indented(KEY)}, ("(the private key cannot be read", LINES)),
        ({"tls.crt": RSA, "tls.key": rsa_pem(**OF_ANOTHER)}, (SIGNATURE, "put the whole private key in tls.key")),
        ({"tls.crt": RSA, "tls.key": rsa_pem(p=0, q=0)}, (SIGNATURE, "put the whole private key in tls.key")),
    ],
)
def test_what_workers_would_not_show_is_refused(parts: dict[str, bytes], words: tuple[str, str]) -> None:
    node = judge(plain_secret("s", "certs", parts))
    assert node.certificate is None
    assert node.mistake is not None
    assert [word for word in words if word not in node.mistake] == []
    assert parts["tls.key"].split()[-4].decode() not in node.mistake
    assert base64.b64encode(parts["tls.key"])[:40].decode() not in node.mistake


@pytest.mark.parametrize(
    "parts",
    [
        {"d": OWN.d + 2},
        {"dmp1": OWN.dmp1 + 2},
        {"p": OWN.q, "q": OWN.p, "dmp1": OWN.dmq1, "dmq1": OWN.dmp1, "iqmp": pow(OWN.p, -1, OWN.q)},
        {"p": OWN.p * OWN.q, "q": 1},
    ],
    ids=["d", "dmp1", "primes swapped", "q is 1"],
)
def test_a_key_that_signs_all_the_same_is_served(parts: dict[str, int]) -> None:
    assert judge(plain_secret("s", "certs", {"tls.crt": RSA, "tls.key": rsa_pem(**parts)})).mistake is None


@pytest.mark.parametrize(
    "parts",
    [
        {"dmp1": OWN.dmp1 + ((OWN.p - 1) << 100_000)},
        {"p": OWN.p * OWN.q, "q": 1, "d": OWN.d + ((OWN.p - 1) * (OWN.q - 1) << 1000)},
    ],
    ids=["dmp1", "d"],
)
def test_a_key_whose_parts_make_signatures_expensive_is_refused(parts: dict[str, int]) -> None:
    """Each of these keys makes valid signatures, but OpenSSL raises to an exponent that is longer than the key."""
    mistake = judge(plain_secret("s", "certs", {"tls.crt": RSA, "tls.key": rsa_pem(**parts)})).mistake
    assert mistake is not None
    assert "so that a signature costs too much" in mistake


def test_a_long_key_is_served_only_if_its_parts_fit() -> None:
    long = chain("a.example.com", kind="rsa-4096")
    parts = {"n": (own := rsa_numbers(kind="rsa-4096")).public_numbers.n, "d": own.d, "p": own.p, "q": own.q}
    parts |= {"dmp1": own.dmp1, "dmq1": own.dmq1, "iqmp": own.iqmp}
    assert judge(plain_secret("s", "certs", {"tls.crt": long, "tls.key": rsa_pem(**parts)})).mistake is None
    whole = rsa_pem(**parts | {"p": own.p * own.q, "q": 1})
    mistake = judge(plain_secret("s", "certs", {"tls.crt": long, "tls.key": whole})).mistake
    assert mistake is not None
    assert "so that a signature costs too much" in mistake


def test_a_chain_is_served_whole() -> None:
    whole = GOOD + chain("b.example.com", number=1) * 9
    node = judge(plain_secret("s", "certs", {"tls.crt": whole, "tls.key": KEY}))
    assert node.certificate is not None
    assert node.certificate.chain == whole


def test_what_workers_read_depends_on_the_certificates_only() -> None:
    """However the Secret is written: a worker would spend 15 ms on a megabyte of empty lines."""
    node = judge(plain_secret("s", "certs", {"tls.crt": b"\n" * 100_000 + GOOD + b"text\n", "tls.key": KEY}))
    assert node.certificate is not None
    assert node.certificate.chain == GOOD


def test_no_repr_says_a_word_of_a_key() -> None:
    shown = secret("s", "certs")
    node = judge(shown)
    for text in (repr(shown), repr(node), repr(node.certificate), repr(Apply(shown)), str({"a": [node]})):
        assert shown.data["tls.key"][:40] not in text
        assert "PRIVATE" not in text


def test_a_secret_is_judged_once_and_again_when_its_content_changes() -> None:
    key = Key("certs", "s")
    first = secret("s", "certs")
    vault = Vault({})
    known = vault.certificate(first)
    assert known.certificate is not None
    assert vault.certificate(first) is known
    relabelled = Secret(metadata=first.metadata, type="Opaque", data=dict(first.data))
    assert Vault({key: known}).certificate(relabelled) is known
    renewed = Vault({key: known}).certificate(secret("s", "certs", number=1))
    assert renewed.certificate != known.certificate
