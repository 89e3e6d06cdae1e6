"""The gateway that the tour and the tests start: real, on free ports, or an error message with the reason."""

from http.client import HTTPConnection
from pathlib import Path

import pytest

from fastroute.demo.gateway import running_gateway
from fastroute.demo.pods import copy_manifests
from fastroute.errors import FastrouteError

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "fine-grained"


async def test_it_serves_when_entered_and_is_gone_when_left(tmp_path: Path) -> None:
    copy_manifests(EXAMPLE, tmp_path)
    with running_gateway(tmp_path, "--workers", "1", "--log-level", "error") as gateway:
        async with gateway.client() as client:
            assert (await client.ask("/refunds")).status == 500
            assert (await client.ask("/nowhere")).status == 404
        port = gateway.port()
    assert gateway.process.returncode == 0
    with pytest.raises(OSError, match="refused"):
        HTTPConnection("127.0.0.1", port, timeout=1).connect()


def test_what_cannot_start_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FastrouteError, match="code 2"), running_gateway(tmp_path / "missing"):
        pass
    assert str(tmp_path / "missing") in capfd.readouterr().err
