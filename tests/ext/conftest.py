"""Tests of the engine that ask for `transport` run twice: over plain connections, and over TLS."""

from collections.abc import Iterator

import pytest
import rig


@pytest.fixture(params=["plain", "tls"])
def transport(request: pytest.FixtureRequest) -> Iterator[str]:
    token = rig.TRANSPORT.set(request.param)
    yield request.param
    rig.TRANSPORT.reset(token)
