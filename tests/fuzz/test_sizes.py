"""A connection without streams pays little for them: a worker may have 65,536 of it."""

import importlib

from building import built


def test_a_plain_connection_pays_little_for_streams() -> None:
    built("fuzz", "build/replay")
    connection, stream, parent = importlib.import_module("fuzz.sessions").sizes()
    assert connection <= 512
    assert stream <= 160
    assert parent <= 160
