"""gRPC's own client and server, with fastroute between them; docs/conformance/grpc-interop.md names the cases left out.

make interop
"""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from certificates import authority, certificate
from cluster.programs import INTEROP, ROOT, built
from msgspec.structs import replace
from rig import TRANSPORT, Rig, rule, running
from securebackend import tls_to

from fastroute import snapshot

RESULTS = ROOT / "docs/conformance/grpc-interop.md"
TRANSPORTS = {"plain": "without TLS", "tls": "TLS on both sides"}
LOAD_REPORTS = '{"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}'  # the client asks for them
CASES = (
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "rpc_soak",
    "channel_soak",
    "orca_per_rpc",
    "orca_oob",
)


def environment() -> dict[str, str]:
    """Without the sanitizers of this process."""
    return {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


@asynccontextmanager
async def interop_server(program: Path, *words: str) -> AsyncIterator[int]:
    """The port of a running server. It is started again if another process has taken its port."""
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            command = [str(program / "server"), f"-port={port}", *words]
            process = await nursery.start(partial(trio.run_process, env=environment(), check=False), command)
            if await accepts(process, port):
                break
        else:
            pytest.fail("the server of grpc-go does not start")
        yield port
        process.kill()


async def accepts(process: trio.Process, port: int) -> bool:
    """Waits until the server accepts connections. False if it has ended."""
    with trio.fail_after(60):
        while process.poll() is None:
            try:
                await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
            except OSError:
                await trio.sleep(0.05)
            else:
                return process.poll() is None
    return False


@asynccontextmanager
async def served(folder: Path, program: Path, transport: str) -> AsyncIterator[Rig]:
    """A rig with a rule of a GRPCRoute and the server behind it."""
    shown = certificate("a.example.com")
    (folder / "chain").write_bytes(shown.chain)
    (folder / "key").write_bytes(shown.key)
    (folder / "ca").write_text(authority().pem)
    is_tls = transport == "tls"
    words = ["-use_tls", f"-tls_cert_file={folder}/chain", f"-tls_key_file={folder}/key"] if is_tls else []
    backend = snapshot.Backend(protocol="h2", tls=tls_to().tls if is_tls else None)
    async with interop_server(program, *words) as port, running(replace(rule("b"), calls=True), log=True) as rig:
        rig.upstreams.speak("b", backend)
        rig.put("b", port)
        yield rig


async def passes(program: Path, folder: Path, rig: Rig, transport: str, case: str) -> str:
    """Runs the client; what it says if the case fails, or an empty text."""
    words = (
        ["-use_tls", "-use_test_ca", f"-ca_file={folder}/ca", "-server_host_override=a.example.com"]
        if transport == "tls"
        else []
    )
    words += ["-server_host=127.0.0.1", f"-server_port={rig.port}", f"-test_case={case}", "-soak_iterations=100"]
    if case.startswith("orca"):
        words.append(f"-service_config_json={LOAD_REPORTS}")
    with trio.fail_after(120):
        ended = await trio.run_process(
            [str(program / "client"), *words, "-soak_per_iteration_max_acceptable_latency_ms=20000"],
            env={**environment(), "GRPC_GO_LOG_SEVERITY_LEVEL": "info"},
            check=False,
            capture_stdout=True,
            capture_stderr=True,
        )
    return "" if ended.returncode == 0 else ended.stderr.decode(errors="replace")[-2000:]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_all_cases_pass(transport: str, tmp_path: Path) -> None:
    program = await trio.to_thread.run_sync(built, INTEROP)
    token = TRANSPORT.set(transport)
    failed: dict[str, str] = {}
    async with served(tmp_path, program, transport) as rig:
        for case in CASES:
            if said := await passes(program, tmp_path, rig, transport, case):
                failed[case] = said
        assert {line["upstream_protocol"] for line in rig.lines()} <= {"HTTP/2", None}
    TRANSPORT.reset(token)
    write(transport, failed)
    assert failed == {}


def write(transport: str, failed: dict[str, str]) -> None:
    """Replaces the column of the transport in the file of results; only if INTEROP_RESULTS is set (make interop)."""
    if not os.environ.get("INTEROP_RESULTS"):
        return
    text = RESULTS.read_text()
    head, _, table = text.partition("| case |")
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:] if line]
    found = {row[0]: dict(zip(TRANSPORTS, row[1:], strict=False)) for row in rows}
    for case in CASES:
        found.setdefault(case, {})[transport] = "failed" if case in failed else "passed"
    lines = [f"| case | {' | '.join(TRANSPORTS.values())} |", "|---|---|---|"]
    lines += [f"| {case} | {' | '.join(found[case].get(one, 'not run') for one in TRANSPORTS)} |" for case in CASES]
    RESULTS.write_text(head + "\n".join(lines) + "\n")


def test_the_results_are_those_of_all_cases() -> None:
    table = RESULTS.read_text().partition("| case |")[2].splitlines()[2:]
    assert table == [f"| {case} | passed | passed |" for case in CASES]
