"""An API server in this process, with timeouts short enough for tests."""

from collections.abc import Iterator

import pytest
from apiserver.standin import ApiServer

from fastroute.apiserver import contact
from fastroute.source.kubernetes import watch


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    monkeypatch.setattr(watch, "LONGEST_DELAY", 0.2)
    monkeypatch.setattr(contact, "PATIENCE", 0.1)
    monkeypatch.setenv("NO_PROXY", "*")
    server = ApiServer()
    yield server
    server.close()
