"""Which certificates the control plane accepts, and whether clients can complete a handshake with them."""

import ssl
from pathlib import Path

import pytest
import trio
from graph.secrets import chain, indented, key_pem, rsa_numbers, rsa_pem
from https import serving, tls
from rig import connect

from fastroute.ext.tls.certificate import CHAIN, KEY, PAIR, SIZE, STRENGTH, CertificateError, Certificates, judge
from fastroute.snapshot import Certificate

GOOD, SIGNER, RSA = chain("a.example.com"), chain("b", number=1), chain("a.example.com", kind="rsa-2048")
OWN, OTHER = rsa_numbers(), rsa_numbers(1)
OF_ANOTHER = {name: getattr(OTHER, name) for name in ("d", "p", "q", "dmp1", "dmq1", "iqmp")}
KINDS = ["rsa-2048", "rsa-3072", "p256", "p384", "p521", "ed25519"]


def believing() -> ssl.SSLContext:
    """A client that accepts every certificate if the server has its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def greeted(certificate: Certificate) -> bool:
    """Whether a client completes the handshake with a worker that has this certificate."""
    async with serving({"": tls("c")}, {"c": certificate}) as rig:
        try:
            await connect(rig.port, "a.example.com", believing())
        except (ssl.SSLError, trio.BrokenResourceError):
            return False
        return True


def refused(certificate: Certificate) -> str | None:
    try:
        judge(certificate, sign=True)
    except CertificateError as error:
        return error.part
    return None


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_taken_is_shown(kind: str) -> None:
    certificate = Certificate(chain("a.example.com", kind=kind), key_pem(kind))
    assert refused(certificate) is None
    assert await greeted(certificate)


@pytest.mark.parametrize(
    ("parts", "part"),
    [
        (OF_ANOTHER, PAIR),
        ({"p": 0, "q": 0}, PAIR),
        ({"p": OTHER.p, "q": OTHER.q, "d": 1}, PAIR),
        ({"d": 1}, None),
        ({"iqmp": 1}, None),
    ],
    ids=["another's", "no primes", "d is 1, other primes", "d is 1", "iqmp is 1"],
)
async def test_a_key_in_disorder_is_taken_if_clients_can_be_served(parts: dict[str, int], part: str | None) -> None:
    certificate = Certificate(RSA, rsa_pem(**parts))
    assert refused(certificate) == part
    assert await greeted(certificate) is (part is None)


@pytest.mark.parametrize(("salt", "part"), [("32", None), ("100", PAIR)])
async def test_an_rsa_pss_key_is_taken_if_tls_has_salts_for_it(tmp_path: Path, salt: str, part: str | None) -> None:
    """The test runs `openssl`, because no Python package in use can generate such keys."""
    key, shown = tmp_path / "key", tmp_path / "chain"
    options = ["keygen_md:sha256", "keygen_mgf1_md:sha256", f"keygen_saltlen:{salt}"]
    bound = [word for option in options for word in ("-pkeyopt", f"rsa_pss_{option}")]
    for command in (
        ["genpkey", "-algorithm", "RSA-PSS", *bound, "-out", str(key)],
        ["req", "-x509", "-key", str(key), "-subj", "/CN=a.example.com", "-out", str(shown)],
    ):
        await trio.run_process(["openssl", *command], capture_stderr=True)
    certificate = Certificate(shown.read_bytes(), key.read_bytes())
    assert refused(certificate) == part
    assert await greeted(certificate) is (part is None)


@pytest.mark.parametrize(
    ("certificate", "part"),
    [
        (Certificate(b"", key_pem()), CHAIN),
        (Certificate(indented(GOOD), key_pem()), CHAIN),
        (Certificate(GOOD + SIGNER.rstrip() + SIGNER, key_pem()), CHAIN),
        (Certificate(GOOD + SIGNER[:100], key_pem()), CHAIN),
        (Certificate(GOOD + SIGNER.replace(b"MII", b"AII", 1), key_pem()), CHAIN),
        (Certificate(GOOD + SIGNER * 10, key_pem()), SIZE),
        (Certificate(GOOD + SIGNER.replace(b" CERT", b" X509 CERT") * 10, key_pem()), SIZE),
        (Certificate(GOOD + chain(*map(str, range(12_000)), number=1), key_pem()), SIZE),
        (Certificate(chain(*map(str, range(1001))), key_pem()), SIZE),
        (Certificate(GOOD, b""), KEY),
        (Certificate(GOOD, key_pem(password=b"x")), KEY),
        (Certificate(GOOD, key_pem(number=1)), PAIR),
        (Certificate(chain("a", kind="rsa-1024"), key_pem("rsa-1024")), STRENGTH),
        (Certificate(GOOD + chain("b", kind="rsa-1024"), key_pem()), STRENGTH),
    ],
)
def test_what_workers_do_not_load_is_refused_with_what_has_to_be_mended(certificate: Certificate, part: str) -> None:
    assert refused(certificate) == part
    with pytest.raises(CertificateError):
        Certificates().put("c", certificate)


def test_a_refusal_says_no_word_of_a_key() -> None:
    certificate = Certificate(RSA, rsa_pem(**OF_ANOTHER))
    with pytest.raises(CertificateError) as caught:
        judge(certificate, sign=True)
    assert str(caught.value).startswith("the private key cannot make a signature that its certificate verifies")
    assert len(str(caught.value)) < 120


def test_every_certificate_of_the_chain_is_counted() -> None:
    assert judge(Certificate(GOOD, key_pem()), sign=False) == 1
    assert judge(Certificate(GOOD + b"a line of text\n" + SIGNER, key_pem()), sign=False) == 2
    assert judge(Certificate(GOOD + indented(SIGNER), key_pem()), sign=False) == 1


def test_a_key_that_costs_too_much_is_not_tried() -> None:
    """The length of a key is checked before a signature is made."""
    long = rsa_pem(n=(1 << 4096) + 1, d=3, p=3, q=5)
    with pytest.raises(CertificateError, match="more than 4096 bits"):
        judge(Certificate(RSA, long), sign=True)


def test_a_certificate_is_loaded_and_freed_in_steps() -> None:
    """A step reads one certificate of the chain, its names or the key, and frees what one id had."""
    certificates = Certificates()
    certificate = Certificate(GOOD + 9 * SIGNER, key_pem())
    for each in range(3):
        assert len(list(certificates.putting(f"c{each}", certificate))) == 12
    assert len(list(certificates.prepare())) == 3
    certificates.commit()
    assert len(certificates) == 3
    list(certificates.release())
    for each in range(3):
        certificates.remove(f"c{each}")
    certificates.commit()
    assert len(certificates) == 3  # handshakes do not use them any more
    assert len(list(certificates.release())) >= 3
    assert len(certificates) == 0
    assert list(certificates.release()) == []


async def test_new_certificates_are_shown_from_the_commit_on() -> None:
    """Between the steps, and if they are forgotten, clients get the old one."""
    first, second = (Certificate(chain("a.example.com", number=i), key_pem(number=i)) for i in range(2))
    async with serving({"": tls("c")}, {"c": first}) as rig:

        async def shown() -> bytes | None:
            client = await connect(rig.port, "a.example.com", believing())
            found = client.stream.tls.getpeercert(binary_form=True)  # type: ignore[union-attr]
            await client.stream.aclose()
            return ssl.DER_cert_to_PEM_cert(found).encode() if isinstance(found, bytes) else None

        for _ in rig.certificates.putting("c", second):
            assert await shown() == first.chain
        list(rig.certificates.prepare())
        assert await shown() == first.chain
        rig.certificates.forget()
        rig.certificates.commit()
        assert await shown() == first.chain
        rig.certificates.put("c", second)
        rig.certificates.commit()
        assert await shown() == second.chain
        for _ in rig.certificates.release():
            assert await shown() == second.chain
