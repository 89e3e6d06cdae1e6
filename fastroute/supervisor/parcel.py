"""Encoded publications: the messages that change the state of a worker from one version to another."""

from collections.abc import Sequence
from typing import NamedTuple

from fastroute.publication import Change, encode, publication
from fastroute.snapshot import Snapshot


class Target(NamedTuple):
    """The state that every worker should have."""

    version: int
    snapshot: Snapshot


class Parcel(NamedTuple):
    """An encoded publication: sockets are sent between the two parts."""

    opening: bytes
    closing: bytes  # the Commit, or a complete EndpointUpdate


def parcel(base: int, target: Target, changes: Sequence[Change]) -> Parcel:
    """The publication that turns version `base` into the target by `changes`."""
    *opening, closing = [encode(message) for message in publication(target.version, base, changes)]
    return Parcel(b"".join(opening), closing)
