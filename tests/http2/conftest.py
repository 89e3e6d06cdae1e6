"""The fixtures `transport`: HTTP/2 with prior knowledge, or by ALPN; `towards`: backends of HTTP/1.1, or of HTTP/2."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

import pytest
from http2.server import spoken
from rig import TRANSPORT, Backend, Rig, Script, backends

from fastroute import snapshot


@pytest.fixture(params=["plain", "tls"])
def transport(request: pytest.FixtureRequest) -> Iterator[str]:
    token = TRANSPORT.set(request.param)
    yield request.param
    TRANSPORT.reset(token)


class Towards(NamedTuple):
    """Backends of one protocol, from scripts of HTTP/1.1."""

    protocol: str

    @property
    def name(self) -> str:
        """As in the access log."""
        return {"h1": "HTTP/1.1", "h2": "HTTP/2"}[self.protocol]

    def backends(self, *scripts: Script) -> AbstractAsyncContextManager[list[Backend]]:
        return backends(*(scripts if self.protocol == "h1" else map(spoken, scripts)))

    def put(self, rig: Rig, backend: str, *ports: int) -> None:
        rig.upstreams.speak(backend, snapshot.Backend(protocol=self.protocol))
        rig.put(backend, *ports)


@pytest.fixture(params=["h1", "h2"])
def towards(request: pytest.FixtureRequest) -> Towards:
    return Towards(request.param)
