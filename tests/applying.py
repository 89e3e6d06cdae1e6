"""`apply`: what the changes of a publication make of a Snapshot, as a plain oracle of `difference`."""

from collections.abc import Iterable
from typing import TypeVar

from fastroute.publication import (
    Change,
    RemoveBackend,
    RemoveCertificate,
    RemoveEndpoints,
    RemoveListener,
    RemoveRule,
    SetEndpoints,
    UpsertBackend,
    UpsertCertificate,
    UpsertListener,
    UpsertRule,
)
from fastroute.snapshot import Snapshot

Value = TypeVar("Value")


def apply(snapshot: Snapshot | None, changes: Iterable[Change]) -> Snapshot:
    """The result of applying `changes` to `snapshot` (None: nothing): the state of a worker after `Commit`."""
    snapshot = Snapshot() if snapshot is None else snapshot
    listeners, rules, endpoints = dict(snapshot.listeners), dict(snapshot.rules), dict(snapshot.endpoints)
    backends, certificates = dict(snapshot.backends), dict(snapshot.certificates)
    for change in changes:
        match change:
            case UpsertBackend():
                backends[change.id] = change.backend
            case SetEndpoints():
                endpoints[change.backend] = change.endpoints
            case UpsertCertificate():
                certificates[change.id] = change.certificate
            case UpsertListener():
                listeners[change.listener.id] = change.listener
            case UpsertRule():
                rules[change.rule.id] = change.rule
            case RemoveRule():
                del rules[change.id]
            case RemoveListener():
                del listeners[change.id]
            case RemoveCertificate():
                del certificates[change.id]
            case RemoveEndpoints():
                del endpoints[change.backend]
            case RemoveBackend():
                del backends[change.id]
    return Snapshot(
        listeners=_sorted(listeners),
        rules=_sorted(rules),
        backends=_sorted(backends),
        endpoints=_sorted(endpoints),
        certificates=_sorted(certificates),
    )


def _sorted(mapping: dict[str, Value]) -> dict[str, Value]:
    return {key: mapping[key] for key in sorted(mapping)}
