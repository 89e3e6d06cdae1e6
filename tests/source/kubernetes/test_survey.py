"""What `check --kubernetes` does not read of a cluster."""

import json
from pathlib import Path

from fastroute.apiserver.account import Account
from fastroute.apiserver.client import Client
from fastroute.apiserver.kinds import BY_KIND
from fastroute.resources.core import Secret
from fastroute.resources.meta import Key
from fastroute.source.kubernetes.survey import _Reading


def unused(folder: Path) -> Client:
    """A client that is asked nothing."""
    file = folder / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "one", "context": {"cluster": "c", "user": "u"}}
    parts = {"clusters": [cluster], "contexts": [context], "users": [{"name": "u", "user": {}}]}
    file.write_text(json.dumps({"current-context": "one", **parts}))
    return Client(Account(file))


async def test_secrets_above_the_limit_are_named_and_not_called_missing(tmp_path: Path) -> None:
    reading = _Reading(unused(tmp_path), "default")
    reading.leave_unread(BY_KIND["Secret"], [Key("red", "a"), Key("red", "b")])
    assert [(one.key, one.omission) for one in reading.objects if isinstance(one, Secret)] == [
        (Key("red", "a"), "is not read: only 1,000 Secrets are read"),
        (Key("red", "b"), "is not read: only 1,000 Secrets are read"),
    ]
    assert [one.message for one in reading.left_out] == ["only 1,000 Secrets are read; 2 more are left out"]
    reading.leave_unread(BY_KIND["Secret"], [])
    assert len(reading.left_out) == 1
