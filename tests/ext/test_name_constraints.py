"""Certificates whose names are expensive: each name is parsed several times, and compared with each name constraint of
a CA, in one step of the engine. If that could take long, the certificate is refused before it is verified."""

import datetime
from functools import cache
from typing import NamedTuple

import pytest
from certificates import NOW
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from ext.test_tls_clients import asked, verifying
from rig import GET, answering, backends, connect, rule, running
from securebackend import secured, showing, tls_to
from visitors import showing as visiting

from fastroute.snapshot import Certificate, ClientValidation

HOST = "a.example.com"
LONG = "x" * 100  # names that differ only at their end take the longest to compare


class Pair(NamedTuple):
    root: bytes  # PEM
    leaf: Certificate


@cache
def pair(constraints: int, names: int, *, short: bool = False) -> Pair:
    """A CA with so many excluded names, and a certificate for HOST and so many other names. `short`: empty ones."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    subjects = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("root", "leaf")]
    excluded = [x509.DNSName(f"{LONG}{number:04x}") for number in range(constraints)]
    others = ("" if short else f"x.{LONG}{number + constraints:04x}" for number in range(names))
    shown = [x509.DNSName(HOST), *map(x509.DNSName, others)]
    extensions = (
        (x509.BasicConstraints(ca=True, path_length=None), x509.NameConstraints(None, excluded)),
        (x509.SubjectAlternativeName(shown),),
    )
    made = []
    for key, subject, added in zip(keys, subjects, extensions, strict=True):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subjects[0]).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(NOW - datetime.timedelta(1)).not_valid_after(NOW + datetime.timedelta(1))
        for one in added:
            builder = builder.add_extension(one, critical=False)
        made.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(made[0], Certificate(made[1], private))


@pytest.mark.parametrize(
    ("constraints", "names", "status"),
    [(1, 1, 200), (500, 2, 200), (5, 500, 200), (1800, 500, 502), (500, 500, 502), (3000, 100, 502)],
)
async def test_a_backend(constraints: int, names: int, status: int) -> None:
    root, leaf = pair(constraints, names)
    async with backends(secured(showing(leaf), answering)) as [backend], running(rule("b"), log=True) as rig:
        rig.upstreams.speak("b", tls_to(trust_anchors=root))
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        assert (await client.response())[0] == status
        if status != 200:
            assert rig.lines()[0]["reason"] == "upstream_certificate_invalid"
            assert "too expensive" in str(rig.engine.tls_faults())


@pytest.mark.parametrize(("names", "status"), [(1500, 200), (2500, 502), (30_000, 502)])
async def test_a_backend_with_many_short_names(names: int, status: int) -> None:
    root, leaf = pair(1, names, short=True)
    async with backends(secured(showing(leaf), answering)) as [backend], running(rule("b")) as rig:
        rig.upstreams.speak("b", tls_to(trust_anchors=root))
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        assert (await client.response())[0] == status


@pytest.mark.parametrize(("constraints", "names", "status"), [(1, 1, 200), (50, 30, 200), (3000, 30, 0)])
async def test_a_client(constraints: int, names: int, status: int) -> None:
    root, leaf = pair(constraints, names)
    async with verifying(ClientValidation(trust_anchors=root)) as (rig, _):
        assert (await asked(rig, visiting(leaf)))[0] == status
