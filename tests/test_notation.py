"""The notation of durations, sizes, addresses and other settings, case by case."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute import notation
from fastroute.errors import SettingError


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (notation.duration, "500ms", 0.5),
        (notation.duration, "30s", 30.0),
        (notation.duration, "5m", 300.0),
        (notation.duration, "1h", 3600.0),
        (notation.duration, "1m30s", 90.0),
        (notation.duration, "1.5s", 1.5),
        (notation.duration, "0", 0.0),
        (notation.size, "65536", 65536),
        (notation.size, "64KiB", 65536),
        (notation.size, "2MiB", 2 << 20),
        (notation.address, "127.0.0.1", "127.0.0.1"),
        (notation.address, "::", "::"),
        (notation.address, "[::1]", "::1"),
        (notation.address, "[::ffff:127.0.0.1]", "127.0.0.1"),
        (notation.socket_address, "[::ffff:0.0.0.0]:9900", ("0.0.0.0", 9900)),
        (notation.socket_address, "127.0.0.1:9900", ("127.0.0.1", 9900)),
        (notation.socket_address, "[::]:9900", ("::", 9900)),
        (notation.socket_address, ":9900", ("::", 9900)),
        (notation.socket_address, "off", None),
        (notation.reached_at, "192.0.2.1", "192.0.2.1"),
        (notation.reached_at, "service/infra/edge", "service/infra/edge"),
        (notation.network, "10.0.0.0/8", "10.0.0.0/8"),
        (notation.network, "10.1.2.3", "10.1.2.3/32"),
        (notation.object_name, "infra/edge", "infra/edge"),
        (notation.headers, ["X-A:  b ", "Empty:"], [("X-A", "b"), ("Empty", "")]),
        (notation.one_of("text", "json"), "json", "json"),
        (notation.collector, "off", "off"),
        (notation.collector, "http://[::1]:4318/otlp", "http://[::1]:4318/otlp"),
        (notation.ratio, "0", 0.0),
        (notation.ratio, "0.01", 0.01),
        (notation.ratio, ".5", 0.5),
        (notation.ratio, "1e-05", 0.00001),
        (notation.ratio, "1", 1.0),
    ],
)
def test_values(read: Callable[[str], Any], text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text", "form"),
    [
        (notation.duration, "5", "500ms, 30s, 5m"),
        (notation.duration, "5q", "500ms, 30s, 5m"),
        (notation.duration, "-5s", "500ms, 30s, 5m"),
        (notation.duration, "5s ", "500ms, 30s, 5m"),
        (notation.duration, "", "500ms, 30s, 5m"),
        (notation.size, "0", "64KiB"),
        (notation.size, "64kb", "64KiB"),
        (notation.address, "localhost", "127.0.0.1"),
        (notation.socket_address, "127.0.0.1", "127.0.0.1:9900"),
        (notation.socket_address, "::1:9900", "[::]:9900"),
        (notation.socket_address, "127.0.0.1:65536", "127.0.0.1:9900"),
        (notation.reached_at, "edge", "service/NAMESPACE/NAME"),
        (notation.network, "10.0.0.0/33", "10.0.0.0/8"),
        (notation.object_name, "edge", "NAMESPACE/NAME"),
        (notation.object_name, "infra/", "NAMESPACE/NAME"),
        (notation.object_name, "infra/Edge", "NAMESPACE/NAME"),
        (notation.one_of("text", "json"), "yaml", "text, json"),
        *(
            (notation.collector, text, "http://127.0.0.1:4318")
            for text in (
                "",
                "on",
                "collector:4318",
                "grpc://a:4317",
                "http://",
                "http://a:x",
                "http://a:0",
            )
        ),
        *((notation.ratio, text, "from 0 to 1") for text in ("", "1.01", "-0.1", "1%", "nan", "inf", "1e5", "٠")),
    ],
)
def test_what_cannot_be_read_says_which_forms_do(read: Callable[[str], Any], text: str, form: str) -> None:
    with pytest.raises(SettingError) as caught:
        read(text)
    assert form in str(caught.value)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("read", [notation.duration, notation.size, notation.ratio])
def test_a_default_passes_unchanged(read: Callable[[Any], Any]) -> None:
    value = 7 if read is notation.size else 7.5
    assert read(value) == value


@given(st.integers(0, 100_000_000))
def test_times_are_shown_as_they_are_read(milliseconds: int) -> None:
    shown = notation.shown_duration(milliseconds / 1000)
    assert notation.duration(shown) == pytest.approx(milliseconds / 1000, rel=1e-5)


@given(st.integers(1, 1 << 40))
def test_sizes_are_shown_as_they_are_read(count: int) -> None:
    assert notation.size(notation.shown_size(count)) == count


def test_no_limit_is_shown() -> None:
    assert notation.shown_size(None) == "no limit"
