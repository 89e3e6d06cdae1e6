"""Regular expressions of routes: RE2 syntax, full matches, limited time and memory."""

import time

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from fastroute.ext.routing.regex import Regex


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("/a", "/a", True),
        ("/a", "/ab", False),
        ("/a", "x/a", False),
        ("/a|/ab", "/ab", True),
        ("^/a$", "/a", True),
        ("", "", True),
        ("", "x", False),
        (".*", "", True),
        ("(?i)/ABC", "/abc", True),
        ("/[0-9]{3}", "/123", True),
        ("/\\d+/\\w*", "/12/ab_c", True),
        ("/(é|ö)", "/é", True),
        ("/.", "/é", True),
        ("/.", b"/\xc3", False),
        ("/\\C", b"/\xc3", True),
        (".*", b"a\0b", True),
        ("a.b", "a\nb", False),
        ("(?s)a.b", "a\nb", True),
    ],
)
def test_whole_texts(pattern: str, text: str | bytes, matches: bool) -> None:
    assert Regex(pattern).fullmatch(text) is matches


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("/(", "missing"),
        ("/a**", "bad repetition"),
        ("(?=a)b", "invalid perl operator"),
        ("(a)\\1", "invalid escape"),
        ("a{2000}", "repetition"),
        ("((a{100}){100}){100}", "repetition|too large"),
        ("\\", "trailing"),
        ("[a-z]*a[a-z]{100}[0-9]{100}", "too large: 206 instructions, 200 are allowed"),
        ("[a-z]*a[a-z]{900}[0-9]{900}", "too large: 1.* instructions, 200 are allowed"),
    ],
)
def test_what_re2_refuses_is_said(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Regex(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "/[a-zA-Z0-9_-]+",
        "/[^/]+/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(/.*)?",
        "(.*; ?)?canary=always(;.*)?",
        "(?i).*(android|iphone|ipad|mobile|opera mini|blackberry).*",
        "/(en|de|fr|it|es|pt|nl|sv|da|fi|no|pl|cs|sk|hu|ro|bg|el|tr|ru|uk|ja|ko|zh)(-[A-Z]{2})?/.*",
    ],
)
def test_what_people_write_is_not_too_large(pattern: str) -> None:
    assert Regex(pattern).pattern == pattern


def test_time_is_linear_in_the_text() -> None:
    """Input for which a backtracking matcher tries 2**30 paths."""
    began = time.process_time()
    assert not Regex("(a|aa|a?)*" * 4 + "b").fullmatch("a" * 8000)
    assert not Regex("(x+x+)+y").fullmatch("x" * 8000)
    assert time.process_time() - began < 20  # processor time; otherwise milliseconds, or practically endless


@pytest.mark.parametrize(
    ("pattern", "beginning"),
    [
        ("/abc/[a-z]+", b"/abc/"),
        ("^/abc/.*$", b"/abc/"),
        ("/abc|/abd", b"/ab"),
        ("(?i)/abc", b"/"),
        ("/a\\.b(c|d)", b"/a.b"),
        ("/a{3}b", b"/aaab"),
        ("/é.", "/é".encode()),
        (".*/a", b""),
        ("", b""),
        ("/" + "x" * 100, b"/" + b"x" * 62),
    ],
)
def test_what_all_matches_begin_with(pattern: str, beginning: bytes) -> None:
    assert Regex(pattern).beginning == beginning


PIECES = st.recursive(
    st.sampled_from(("/", "a", "b", "/a", "\\.", "[ab]", "[^/]", ".", "é", "(?:)", "(?i:a)")),
    lambda piece: st.one_of(
        st.lists(piece, min_size=1, max_size=3).map("".join),
        st.lists(piece, min_size=1, max_size=3).map(lambda pieces: f"(?:{'|'.join(pieces)})"),
        st.tuples(piece, st.sampled_from(("*", "+", "?", "{2}", "{0,2}"))).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(PIECES, st.data())
@example("(?:" * 5 + "[^/]" + "){2}" * 5, None)
def test_every_match_begins_so(pattern: str, data: st.DataObject | None) -> None:
    """Patterns that are too large for the gateway are not examples."""
    try:
        regex = Regex(pattern)
    except ValueError as error:
        assume("too large" not in str(error))
        raise
    assert data is not None
    text = data.draw(st.from_regex(pattern, fullmatch=True))
    assume(regex.fullmatch(text))
    assert text.encode().startswith(regex.beginning)


def test_a_pattern_is_kept_and_shown() -> None:
    assert Regex("/a").pattern == "/a"
    assert repr(Regex("/a")) == "Regex('/a')"
