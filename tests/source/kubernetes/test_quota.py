"""The Secrets of one namespace cannot fill the memory."""

import pytest

from fastroute.resources.core import Secret
from fastroute.resources.meta import Key, Metadata
from fastroute.source.kubernetes import quota
from fastroute.source.kubernetes.quota import Quota


def secret(name: str, size: int, namespace: str = "red") -> Secret:
    return Secret(metadata=Metadata(name=name, namespace=namespace), data={"tls.crt": "A" * size})


def test_what_came_first_is_kept_for_each_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "MOST", 100)
    kept = Quota()
    assert kept.admit(secret("a", 60)).size == 60
    refused = kept.admit(secret("b", 60))
    assert (refused.size, refused.key) == (0, Key("red", "b"))
    assert "Secrets of its namespace" in refused.omission
    assert kept.admit(secret("b", 60, "blue")).size == 60
    assert kept.admit(secret("a", 100)).size == 100, "its own size does not count twice"
    assert kept.admit(secret("a", 30)).size == 30
    assert kept.admit(secret("b", 60)).omission == ""
    kept.drop(Key("red", "a"))
    assert kept.admit(secret("b", 100)).size == 100
    kept.drop(Key("red", "b"))
    kept.drop(Key("blue", "b"))
    kept.drop(Key("red", "unknown"))
    assert not kept._totals
    assert not kept._sizes
