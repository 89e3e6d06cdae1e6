"""GEP-2257 durations."""

import pytest

from fastroute.compiler.duration import milliseconds


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, 0),
        ("0s", 0),
        ("1ms", 1),
        ("500ms", 500),
        ("10s", 10_000),
        ("1h30m10s500ms", 5_410_500),
        ("99999h", 359_996_400_000),
        ("0h0m0s0ms", 0),
    ],
)
def test_milliseconds(written: str | None, expected: int) -> None:
    assert milliseconds(written) == expected


@pytest.mark.parametrize("written", ["", "1", "1.5s", "s", "-1s", "1d", "100000s", "1s "])
def test_anything_else_is_our_error(written: str) -> None:
    with pytest.raises(ValueError, match="GEP-2257"):
        milliseconds(written)
