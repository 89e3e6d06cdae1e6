"""Engine tests with the fixture `transport` run twice: over plain TCP connections, and over TLS."""

from collections.abc import Iterator

import pytest
import rig


@pytest.fixture(params=["plain", "tls"])
def transport(request: pytest.FixtureRequest) -> Iterator[str]:
    token = rig.TRANSPORT.set(request.param)
    yield request.param
    rig.TRANSPORT.reset(token)
