"""What a client can make a handshake cost."""

import time

import pytest
import trio
from certificates import certificate
from https import SHOWN, greeting, serving, tls
from rig import Rig


@pytest.mark.parametrize(
    ("group", "agreed"),
    [
        ("X25519", True),
        ("P-256", True),
        ("P-384", True),
        ("P-521", False),
        ("X448", False),
        ("ffdhe2048", False),
        ("ffdhe8192", False),
    ],
)
async def test_a_client_cannot_choose_an_expensive_group(group: str, agreed: bool) -> None:
    """The test runs `openssl`, because Python's ssl module cannot choose all of these groups."""
    async with serving({"": tls("a")}, SHOWN) as rig:
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{rig.port}", "-servername", "a.example.com"]
        done = await trio.run_process(
            [*command, "-groups", group], check=False, capture_stdout=True, capture_stderr=True
        )
        assert (b"Cipher is TLS_" in done.stdout) is agreed
        fixed = rig.counters.fixed()
        assert (fixed["tls_full"], fixed["tls_not_agreed"]) == ((1, 0) if agreed else (0, 1))


async def answered(rig: Rig, hello: bytes, count: int) -> float:
    """The CPU time in which this process answers `count` ClientHellos."""
    streams = [await trio.open_tcp_stream("127.0.0.1", rig.port) for _ in range(count)]
    start = time.process_time()
    for stream in streams:
        await stream.send_all(hello)
        assert await stream.receive_some(100_000)
    spent = time.process_time() - start
    for stream in streams:
        await stream.aclose()
    return spent


async def test_a_name_is_found_at_the_same_cost_in_many_certificates_with_many_names() -> None:
    most = {f"c{i}": certificate(*(f"h{j}.c{i}.example.com" for j in range(1000))) for i in range(64)}
    hello = await greeting("h999.c63.example.com")
    async with serving({"": tls("c63")}, most) as few, serving({"": tls(*most)}, most) as many:
        # The least of several turns, because processes that run beside this one cost it some of its cache.
        turns = [(await answered(few, hello, 20), await answered(many, hello, 20)) for _ in range(5)]
    assert min(spent for _, spent in turns) < 3 * min(spent for spent, _ in turns)
