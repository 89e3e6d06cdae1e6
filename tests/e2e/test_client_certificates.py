"""Client certificates from manifests: CA certificates of another namespace, changed, broken and no longer granted, for
two workers."""

import ssl
import textwrap
from pathlib import Path

from certificates import certificate
from e2e.serving import SELECTED, Serving, World, serving
from e2e.test_https import NAME, SECRET_GRANT, SECURE, ask, put
from visitors import Issuer, issuer, showing, visitor

FRONTEND = SECURE.replace(
    "  listeners:\n",
    "  tls: {{frontend: {{default: {default}, perPort: {ports}}}}}\n  listeners:\n",
)
CAS = """
apiVersion: v1
kind: ConfigMap
metadata: {{namespace: cas, name: clients}}
data:
  {data}
"""
GRANT = """
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {namespace: cas, name: clients}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: infra}]
  to: [{group: "", kind: ConfigMap, name: clients}]
"""
VALIDATION = '{validation: {caCertificateRefs: [{group: "", kind: ConfigMap, namespace: cas, name: clients}]}}'
ONE, TWO = issuer("one"), issuer("two")
ALICE, BOB = showing(visitor(ONE, "alice")), showing(visitor(TWO, "bob"))
NOBODY = showing(None)


def trust(world: World, *issuers: Issuer) -> None:
    pem = "".join(one.pem.decode() for one in issuers)
    world.write("cas", CAS, data="ca.crt: |\n" + textwrap.indent(pem, "    "))


def verify(world: World, default: str = VALIDATION, ports: str = "[]") -> None:
    world.write("gateway", FRONTEND, allowed=SELECTED, default=default, ports=ports)


async def status(served: Serving, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> int:
    """Of the response; 0 if there is no connection or no TLS."""
    try:
        return (await ask(served, context, session)).status
    except (OSError, IndexError):  # TLS 1.3: the client sees the alert instead of a response
        return 0


async def statuses(served: Serving) -> list[int]:
    return [await status(served, context) for context in (ALICE, BOB, NOBODY)]


async def begin(served: Serving) -> None:
    put(served.world, certificate(NAME, "first"))
    served.world.write("grant-secret", SECRET_GRANT, name="")
    (served.world.folder / "grant-cas.yaml").write_text(GRANT)
    trust(served.world, ONE)
    async with served.applied():
        verify(served.world)


async def test_the_cas_of_another_namespace(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await begin(served)
        assert await statuses(served) == [200, 0, 0]
        async with served.applied():
            trust(served.world, TWO, ONE)
        assert await statuses(served) == [200, 200, 0]
        session = (await ask(served, ALICE)).session
        async with served.applied():
            trust(served.world, TWO)
        assert await status(served, ALICE, session) == 0  # the ticket is of no use
        assert await statuses(served) == [0, 200, 0]
        for _ in range(6):  # whichever worker
            assert await status(served, ALICE, session) == 0


async def test_without_cas_nobody_is_served(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await begin(served)
        for data in ("other: text", "ca.crt: text", None):
            async with served.applied():
                if data is None:
                    served.world.remove("cas")
                else:
                    served.world.write("cas", CAS, data=data)
            assert await statuses(served) == [0, 0, 0]
            async with served.applied():
                trust(served.world, ONE)
            assert await statuses(served) == [200, 0, 0]
        async with served.applied():
            served.world.remove("grant-cas")
        assert await statuses(served) == [0, 0, 0]


async def test_modes_and_ports(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await begin(served)
        async with served.applied():
            verify(served.world, VALIDATION.replace("]}}", "], mode: AllowInsecureFallback}}"))
        assert await statuses(served) == [200, 200, 200]
        async with served.applied():
            verify(served.world, "{}", f"[{{port: 443, tls: {VALIDATION}}}]")
        assert await statuses(served) == [200, 0, 0]
        async with served.applied():
            verify(served.world, VALIDATION, "[{port: 443, tls: {}}]")
        assert await statuses(served) == [200, 200, 200]
        async with served.applied():
            verify(served.world, VALIDATION, f"[{{port: 444, tls: {VALIDATION}}}]")
        assert await statuses(served) == [200, 0, 0]
        metrics = await served.metrics()
        failed = metrics['fastroute_tls_handshake_failures_total{reason="client_certificate"}']
        assert failed >= 4
