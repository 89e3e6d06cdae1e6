"""GEP-2257 durations."""

import pytest

from fastroute.resources.duration import milliseconds


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0s", 0),
        ("500ms", 500),
        ("10s", 10_000),
        ("1m30s", 90_000),
        ("1h30m10s500ms", 5_410_500),
        ("1s1s", 2000),
        ("00005m", 300_000),
    ],
)
def test_durations(text, value):
    assert milliseconds(text) == value


@pytest.mark.parametrize("text", ["", "10", "1d", "-1s", "1.5s", "123456s", "1s1s1s1s1s", "1s ", "1s\n", "1 s", "1S"])
def test_what_is_none(text):
    with pytest.raises(ValueError, match="not a duration"):
        milliseconds(text)
