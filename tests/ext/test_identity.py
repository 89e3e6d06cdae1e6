"""The value of X-Forwarded-Client-Cert, for certificates whose names are hostile."""

import hashlib
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from visitors import called, issuer, visitor

from fastroute.ext.tls.identity import identity

CA = issuer("identities")
# An independent description of the elements of a value.
ELEMENTS = re.compile(
    r'Hash=(?P<hash>[0-9a-f]{64})(;Subject="(?P<subject>([ !#-\[\]-~]|\\[0-9A-Fa-f]{2})*)")?'
    r"""(;URI=([A-Za-z0-9._~:/?#\[\]@!$&'()*+%-]+|"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+"))*(;DNS=[A-Za-z0-9._*-]+)*"""
)
LONGEST = 4096


def value(subject: x509.Name | str, *names: x509.GeneralName) -> str:
    chain = visitor(CA, subject, *names).chain
    found = identity(chain).decode("ascii")
    der = x509.load_pem_x509_certificate(chain).public_bytes(serialization.Encoding.DER)
    matched = ELEMENTS.fullmatch(found)
    assert matched is not None, found
    assert matched["hash"] == hashlib.sha256(der).hexdigest()
    assert len(found) <= LONGEST
    return found.partition(";")[2]


def uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


def dns(text: str) -> x509.DNSName:
    return x509.DNSName._init_without_validation(text)


def part(text: str) -> x509.NameAttribute:
    return x509.NameAttribute(NameOID.ORGANIZATION_NAME, text, _validate=False)


@pytest.mark.parametrize(
    ("subject", "written"),
    [
        ("fruits", "CN=fruits"),
        ("a b", "CN=a b"),
        ('a"b', r"CN=a\22b"),
        ('",Hash=0;URI=x', r"CN=\22\2CHash=0\3BURI=x"),
        ("a,b;c+d", r"CN=a\2Cb\3Bc\2Bd"),
        ("a\\b", r"CN=a\5Cb"),
        ("a\r\nX-Admin: yes", r"CN=a\0D\0AX-Admin: yes"),
        ("a\0b", r"CN=a\00b"),
        ("Käse", r"CN=K\C3\A4se"),
        (" a ", r"CN=\20a\20"),
        ("#a", r"CN=\23a"),
        ("", "CN="),
    ],
)
def test_octets_with_a_meaning_are_escaped_in_a_subject(subject: str, written: str) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject, _validate=False)])
    assert value(name) == f'Subject="{written}"'


@pytest.mark.parametrize(
    ("names", "written"),
    [
        ([uri("spiffe://a/b")], ";URI=spiffe://a/b"),
        ([uri("spiffe://a/1"), uri("spiffe://a/2")], ";URI=spiffe://a/1;URI=spiffe://a/2"),
        ([dns("a.example.com"), dns("*.b")], ";DNS=a.example.com;DNS=*.b"),
        ([dns("a"), uri("x:1")], ";URI=x:1;DNS=a"),
        ([uri("x:1,Hash=0;URI=admin")], ';URI="x:1,Hash=0;URI=admin"'),
        ([uri('x:"')], ""),  # names that are no URIs and host names are left out
        ([uri("x:\r\nX-Admin:1"), uri("x:2")], ";URI=x:2"),
        ([uri("x:a b"), uri("x:\\")], ""),
        ([dns("a;URI=admin"), dns('a"'), dns("a,b"), dns("a\0b"), dns("")], ""),
        ([x509.RFC822Name("a@example.com")], ""),
    ],
)
def test_names(names: list[x509.GeneralName], written: str) -> None:
    assert value("a", *names) == f'Subject="CN=a"{written}'


def test_what_is_too_long_is_left_out_and_never_cut() -> None:
    short, long = uri("x:" + "a" * 1000), uri("x:" + "a" * 5000)
    assert value("a", long) == 'Subject="CN=a"'
    assert value("a", short, short, short, short) == 'Subject="CN=a"'  # all URIs, because one is missing
    assert value("a", long, dns("b")) == 'Subject="CN=a";DNS=b'
    many = x509.Name([part(chr(97 + number % 26) * 60) for number in range(60)])
    assert value(many, dns("b")) == "DNS=b"
    assert value(x509.Name([part('"' * 64) for _ in range(12)]), dns("b")) == "DNS=b"  # escaped, it is longer


def test_a_certificate_without_subject() -> None:
    assert value(x509.Name([]), dns("a")) == 'Subject="";DNS=a'


def test_no_certificate() -> None:
    with pytest.raises(ValueError, match="there is no certificate"):
        identity(b"no PEM")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)
ASCII = st.text(st.characters(max_codepoint=127), max_size=300)


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXT, max_size=8), st.lists(ASCII.map(uri) | ASCII.map(dns), max_size=8))
def test_no_name_ends_its_element(parts: list[str], names: list[x509.GeneralName]) -> None:
    value(x509.Name([part(text) for text in parts]) if parts else called("a"), *names)
