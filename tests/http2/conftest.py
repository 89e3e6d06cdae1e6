"""The fixture `transport`: HTTP/2 with prior knowledge, or by ALPN."""

from collections.abc import Iterator

import pytest
from rig import TRANSPORT


@pytest.fixture(params=["plain", "tls"])
def transport(request: pytest.FixtureRequest) -> Iterator[str]:
    token = TRANSPORT.set(request.param)
    yield request.param
    TRANSPORT.reset(token)
