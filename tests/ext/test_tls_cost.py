"""What a client can make a handshake cost."""

import pytest
import trio
from https import SHOWN, serving, tls


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
