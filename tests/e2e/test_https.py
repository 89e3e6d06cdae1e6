"""HTTPS from manifests: a certificate in another namespace, with a grant, renewed and revoked; sessions resumed by any
worker."""

import os
import signal
import socket
import ssl
from base64 import b64encode
from pathlib import Path
from typing import NamedTuple

import pytest
import trio
from certificates import certificate, trusting
from e2e.serving import GATEWAY, SELECTED, Serving, World, killed, replaced, serving
from load import PATIENCE, Load, loaded, until

from fastroute.snapshot import Certificate

SECURE = GATEWAY.replace(
    "    - {{name: proxy,",
    "    - name: secure\n      port: 443\n      protocol: HTTPS\n"
    "      tls: {{certificateRefs: [{{namespace: certs, name: edge}}]}}\n"
    "      allowedRoutes: {{namespaces: {allowed}}}\n    - {{name: proxy,",
)
SECRET = """
apiVersion: v1
kind: Secret
metadata: {{namespace: certs, name: edge}}
type: kubernetes.io/tls
data: {{tls.crt: {chain}, tls.key: {key}}}
"""
SECRET_GRANT = """
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {{namespace: certs, name: edge}}
spec:
  from: [{{group: gateway.networking.k8s.io, kind: Gateway, namespace: infra}}]
  to: [{{group: "", kind: Secret{name}}}]
"""
SETTLE = 0.5  # seconds: for changes that create no new version, or several
NAME = "shop.example.com"


class Asked(NamedTuple):
    status: int
    shown: str  # the second name in the certificate, which identifies it
    resumed: bool
    session: ssl.SSLSession | None


def ask_now(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None) -> Asked:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=NAME, session=session) as client,
    ):
        client.sendall(f"GET /fruits HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while data := client.recv(65536):
            answer += data
        found = client.getpeercert()
        assert found
        names = [str(value) for _, value in found["subjectAltName"]]  # type: ignore[misc]
        return Asked(int(answer.split()[1]), names[-1], bool(client.session_reused), client.session)


async def ask(served: Serving, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Asked:
    port = served.port - 80 + 443
    return await trio.to_thread.run_sync(ask_now, port, context, session)


def put(world: World, one: Certificate) -> None:
    world.write("secret", SECRET, chain=b64encode(one.chain).decode(), key=b64encode(one.key).decode())


async def secure(served: Serving) -> None:
    """Serves HTTPS."""
    put(served.world, certificate(NAME, "first"))
    served.world.write("grant-secret", SECRET_GRANT, name="")
    async with served.applied():
        served.world.write("gateway", SECURE, allowed=SELECTED)


async def is_served(served: Serving, context: ssl.SSLContext) -> bool:
    try:
        return (await ask(served, context)).status == 200
    except OSError:
        return False


async def test_c2_a_certificate_of_another_namespace(tmp_path: Path) -> None:
    """Served only with a grant, either for the name or for all Secrets."""
    context = trusting()
    async with serving(tmp_path) as served:
        world = served.world
        put(world, certificate(NAME, "first"))
        async with served.applied():
            world.write("grant-secret", SECRET_GRANT, name=", name: edge")
            world.write("gateway", SECURE, allowed=SELECTED)
        asked = await ask(served, context)
        assert (asked.status, asked.shown) == (200, "first")
        world.write("grant-secret", SECRET_GRANT, name="")  # for all Secrets: nothing changes
        await trio.sleep(SETTLE)
        assert (await ask(served, context)).status == 200
        async with served.applied():
            world.remove("grant-secret")
        with pytest.raises(OSError):  # noqa: PT011  (nothing listens, or the connection is closed)
            await ask(served, context)


async def test_renewed_again_and_again_nothing_drops(tmp_path: Path) -> None:
    context = trusting()
    async with serving(tmp_path) as served:
        put(served.world, certificate(NAME, "n0"))
        served.world.write("grant-secret", SECRET_GRANT, name="")
        async with served.applied():
            served.world.write("gateway", SECURE, allowed=SELECTED)
        seen: list[str] = []
        renewing = trio.Event()

        async def visit() -> None:
            while not renewing.is_set():
                asked = await ask(served, context)
                assert asked.status == 200
                seen.append(asked.shown)

        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(visit)
            for number in range(1, 11):
                async with served.applied():
                    put(served.world, certificate(NAME, f"n{number}"))
                assert (await ask(served, context)).shown == f"n{number}"
                await until(lambda number=number: f"n{number}" in seen)  # type: ignore[misc]
            renewing.set()


async def test_a_session_goes_on_at_any_worker(tmp_path: Path) -> None:
    context = trusting()
    async with serving(tmp_path, workers=2) as served:
        await secure(served)
        asked = await ask(served, context)
        for _ in range(12):  # all reach the same one of two workers in 1 of 2,048 runs
            asked = await ask(served, context, asked.session)
            assert (asked.status, asked.resumed) == (200, True)
        metrics = await served.metrics()
        assert metrics['fastroute_tls_handshakes_total{kind="resumed"}'] == 12


async def test_a_killed_worker_costs_its_requests_in_flight_and_no_session(tmp_path: Path) -> None:
    context = trusting()
    clients = 16
    async with serving(tmp_path, workers=2, delay=0.01) as served:
        await secure(served)
        port = served.port - 80 + 443
        sessions = [(await ask(served, context)).session for _ in range(12)]  # from both, except in 1 of 2,048 runs
        async with (
            loaded(Load(port, "/fruits", NAME, context=context), clients) as load,
            loaded(Load(port, "/fruits", NAME, context=context, keep=False), 2) as fresh,
        ):
            await load.answered(100)
            _, gone = await killed(served.workers()[0])
            back = await replaced(served, 1)
            await load.answered(100)
        for session in sessions:
            asked = await ask(served, context, session)
            assert (asked.status, asked.resumed) == (200, True)
        idle = await no_clients(served)
    assert 0 < len(load.breaks) < clients
    assert len(load.breaks) + len(fresh.breaks) < clients + 2
    assert all(one.opened <= gone for one in [*load.breaks, *fresh.breaks])
    assert set(load.sources() + fresh.sources()) == {"bananas", "apples"}
    # The dead worker's queue was served: otherwise both clients would soon have been stuck in it, in 98 of 100 runs
    # before they have nine answers.
    assert sum(gone < one.asked and one.came < back for one in fresh.answers) > 8
    assert idle


async def no_clients(served: Serving) -> bool:
    """Waits until the metrics count no client connection."""
    names = [f'fastroute_connections{{side="downstream",state="{state}"}}' for state in ("active", "idle")]
    with trio.move_on_after(PATIENCE):
        while True:
            samples = await served.metrics()
            if all(samples[name] == 0 for name in names):
                return True
            await trio.sleep(0.02)
    return False


async def test_the_only_worker_is_back_with_its_sessions(tmp_path: Path) -> None:
    context = trusting()
    async with serving(tmp_path, workers=1) as served:
        await secure(served)
        session = (await ask(served, context)).session
        os.kill(served.workers()[0], signal.SIGKILL)
        asked = await ask(served, context, session)  # waits in the main process's listening socket
        assert (asked.status, asked.resumed) == (200, True)


async def test_sigterm_under_load_costs_nothing_but_the_listener(tmp_path: Path) -> None:
    context = trusting()
    async with serving(tmp_path, "--drain-delay", "300ms", delay=0.005) as served:
        await secure(served)
        port = served.port - 80 + 443
        async with (
            loaded(Load(port, "/fruits", NAME, context=context), 8) as load,
            loaded(Load(port, "/fruits", NAME, context=context, keep=False), 4) as fresh,
        ):
            await load.answered(50)
            await fresh.answered(50)
            served.process.send_signal(signal.SIGTERM)
            with trio.fail_after(PATIENCE):
                assert await served.process.wait() == 0
            load.stop()
            fresh.stop()
    assert load.closing > 0
    assert min(len(load.answers), len(fresh.answers)) > 20
    assert {one.why.split(":")[0] for one in [*load.breaks, *fresh.breaks]} <= {"ConnectionRefusedError"}


async def test_keys_are_shown_nowhere(tmp_path: Path) -> None:
    secret = certificate(NAME, "first")
    lines = [line for line in secret.key.decode().splitlines() if "---" not in line]
    log = tmp_path / "stderr"
    world = tmp_path / "world"
    world.mkdir()
    with log.open("wb") as stderr:
        async with serving(world, "--log-level", "debug", stderr=stderr) as served:
            put(served.world, secret)
            served.world.write("gateway", SECURE, allowed=SELECTED)  # no grant: its messages are logged too
            await trio.sleep(SETTLE)
            served.world.write("grant-secret", SECRET_GRANT, name="")
            context = trusting()
            with trio.fail_after(PATIENCE):
                while not await is_served(served, context):  # noqa: ASYNC110
                    await trio.sleep(0.02)
            text = repr(await served.metrics())
    said = log.read_text() + text
    assert not [line for line in lines if line in said or b64encode(line.encode()).decode()[:-4] in said]
