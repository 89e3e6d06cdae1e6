"""What a regular expression costs: the automaton of RE2, built in advance."""

import random
import time

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from walks import expensive_text

from fastroute.ext.routing.regex import Regex
from fastroute.graph.automaton import MOST_STATES, Size
from fastroute.graph.httproute import MOST_EXPRESSIONS, MOST_STATES_OF_A_ROUTE, MOST_STEPS_OF_A_ROUTE
from fastroute.graph.pattern import Chars, Steps, chars, joined, members, read_pattern
from fastroute.graph.regex import judge_pattern


def size_of(pattern: str) -> Size:
    size = judge_pattern(pattern).size
    assert size is not None
    return size


@pytest.mark.parametrize(
    ("pattern", "states"),
    [
        ("", 1),
        ("abc", 4),
        ("a*", 1),
        ("(a|b|c)*", 1),
        ("a|ab", 3),
        ("(foo|bar)+", 6),
        ("[0-9]{3}", 4),
        ("^a$", 2),
        ("(a*)*b", 2),
        ("\\Qa.b\\E+", 4),
        ("[[:alpha:]-]+", 2),
        ("[\\d-z]+", 2),
        ("\\x41\\x{42}\\103", 4),
        ("(?i)ab", 3),
        ("(?P<name>a)(?:b)", 3),
        ("a.", 3 + 8),  # between the bytes of a character
        ("é", 2 + 11),
        (".*a.{3}", 16 + 8 * 8),
        ("\\bab\\b", 3),
        ("(?m)^a\n^b$", 4),
    ],
)
def test_the_states_of_an_automaton(pattern: str, states: int) -> None:
    assert size_of(pattern).states == states


COMMON = (
    "/users/[0-9]+",
    "/v[0-9]+/.*",
    "^/(api|v[0-9]+)/.*$",
    "/api/v[12]/(users|orders|items)/[^/]+(/.*)?",
    "/[^/]+/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(/.*)?",
    "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "/(?P<tenant>[a-z0-9-]+)/(?P<id>[0-9]+)",
    "/(en|de|fr|it|es|pt|nl|sv|da|fi|no|pl|cs|sk|hu|ro|bg|el|tr|ru|uk|ja|ko|zh)(-[A-Z]{2})?/.*",
    "/(alpha|bravo|charlie|delta|echo|foxtrot|golf|hotel|india|juliett|kilo|lima|mike|november|oscar|papa|quebec|romeo"
    "|sierra|tango|uniform|victor|whiskey|xray|yankee|zulu|one|two|three|four)(/.*)?",
    r"/\d{4}-\d{2}-\d{2}/.*",
    r"(19|20)\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ",
    r".*\.(png|jpe?g|gif|svg|ico|css|js|woff2?|ttf|map)",
    r"/static/.*\.[0-9a-f]{8,20}\.(js|css)",
    r"[\w.+-]+@[\w-]+\.[\w.-]+",
    r"[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}",
    r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}",
    r"https?://([\w-]+\.)*example\.com(:\d+)?(/.*)?",
    r"\d{1,3}(\.\d{1,3}){3}",
    r"((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)",
    r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?",
    r"Bearer [A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",
    r"Mozilla/5\.0 .*(Chrome|Firefox)/[0-9]+\..*",
    r"application/(json|xml|.*\+json)(;.*)?",
    "(.*; ?)?canary=always(;.*)?",
    r".*(;|^)\s*session=[^;]+.*",
    "(?i).*(android|iphone|ipad|mobile|opera mini|blackberry).*",
    r".*\b(bot|crawler|spider)\b.*",
    "(?i)^(true|yes|on|1)$",
)


@pytest.mark.parametrize("pattern", COMMON)
def test_what_people_write_is_cheap(pattern: str) -> None:
    """The steps allow a route as many of them as their states allow."""
    judgement = judge_pattern(pattern)
    assert judgement.error is None
    number = min(MOST_EXPRESSIONS, MOST_STATES_OF_A_ROUTE // judgement.states)
    assert number * judgement.steps <= MOST_STEPS_OF_A_ROUTE


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (".*a.{20}", "too many states"),
        ("[ab]*a[ab]{100}", "too many states"),
        ("(.*a.{3}|.*b.{4}|.*c.{5})d", "too many states"),
        ("\\p{Greek}+", "the cost of \\p is not known"),
        ("[\\p{Greek}]", "is not known"),
        ("a\\C", "is not known"),
        ("[à-힣]", "large class"),
        ("(" * 60 + "a" + ")" * 60, "nested deeper than 50"),
        ("((a", "is refused by RE2: missing"),
        ("a" * 1_025, "has 1,025 characters, and 1,024 are allowed"),
        ("(?:" * 48 + "|".join("abcdefgh" * 40) + ")*" * 48, "its repetitions are nested too deeply"),
        ("(?:" + "|".join("abcdefgh" * 40) + "){9}", "it is too long"),
        ("a{150}b{150}", "is refused by RE2: pattern too large: 304 instructions, 200 are allowed"),
    ],
)
def test_what_is_refused_says_why(pattern: str, why: str) -> None:
    error = judge_pattern(pattern).error
    assert error is not None
    assert why in error


def test_refusing_is_quick() -> None:
    """The limit ends the exploration of an automaton with 2**100 states."""
    assert judge_pattern("[ab]*a[ab]{100}").states == MOST_STATES


def seconds(regex: Regex, text: bytes) -> float:
    """Of processor time, when RE2 has seen the text before."""
    regex.fullmatch(text)
    return min(_once(regex, text) for _ in range(5))


def _once(regex: Regex, text: bytes) -> float:
    began = time.thread_time()
    for _ in range(20):
        regex.fullmatch(text)
    return time.thread_time() - began


def test_what_is_accepted_costs_the_same_for_every_text_and_what_is_refused_does_not() -> None:
    text = bytes(random.Random(1).choices(b"ab", k=4095)) + b"/"
    simple = seconds(Regex("[^/]*"), text)
    for pattern in ("[^/]*a[^/]{4}", "[ab]*a[ab]{6}", "[^/]*(ab|ba|aab|bba){4}"):
        assert judge_pattern(pattern).error is None
        assert seconds(Regex(pattern), text) < 10 * simple
    assert judge_pattern("[ab]*a[ab]{150}").error is not None
    assert seconds(Regex("[ab]*a[ab]{150}"), text) > 50 * simple


PIECES = st.recursive(
    st.sampled_from(("a", "b", "ab", "[ab]", "[^a]", ".", "é", "\\d", "[éa-c]", "(?i:k)", "\\b", "^", "$", "[^/é]")),
    lambda piece: st.one_of(
        st.lists(piece, min_size=2, max_size=3).map("".join),
        st.lists(piece, min_size=2, max_size=3).map(lambda pieces: f"(?:{'|'.join(pieces)})"),
        st.tuples(piece, st.sampled_from(("*", "+", "?", "{2}", "{0,2}", "{2,}"))).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(PIECES)
def test_no_text_takes_more_transitions_than_are_counted(pattern: str) -> None:
    size = judge_pattern(f"(?:{pattern})*").size
    assume(size is not None)
    assert size is not None
    _, taken = expensive_text(f"(?:{pattern})*", 2000)
    assert taken <= size.transitions


@pytest.mark.parametrize(
    ("pattern", "transitions", "instructions"),
    [
        ("abc", 3, 3),
        ("[ab]*a[ab]{3}", 32, 184),  # 16 states
        ("(?i)(a{0,3}){0,3}", 9, 63),
    ],
)
def test_the_work_to_build_an_automaton(pattern: str, transitions: int, instructions: int) -> None:
    size = size_of(pattern)
    assert (size.transitions, size.instructions) == (transitions, instructions)
    most = size.most_instructions
    assert size.built_by(2) == (2, min(instructions, 2 * most))
    assert size.built_by(4096) == (transitions, instructions)


def accepts(pattern: str, text: str) -> bool:
    """Runs the automaton that the cost is computed from, without its assertions."""
    nfa = read_pattern(pattern, Steps())
    assert nfa is not None
    now = nfa.start
    for character in text:
        read = (nfa.nodes[index] for index in members(now))
        now = joined(node.out for node in read if node.chars is not None and node.chars.has(character))
    return bool(now & 1)


@settings(max_examples=300, deadline=None)
@given(PIECES, st.text("abcké9/K\u212a€\n", max_size=6))
@example("[^/é]" + "(?:[^/é]){2}" * 5, "")
def test_the_pattern_is_read_as_re2_reads_it(pattern: str, text: str) -> None:
    assume(not any(assertion in pattern for assertion in ("\\b", "^", "$")) or "[^" in pattern)
    assume("\\b" not in pattern and "$" not in pattern and "^" not in pattern.replace("[^", ""))
    assert accepts(pattern, text) == compiled(pattern).fullmatch(text)


def compiled(pattern: str) -> Regex:
    """Patterns that are too large for the gateway are not examples."""
    try:
        return Regex(pattern)
    except ValueError as error:
        assume("too large" not in str(error))
        raise


def test_sets_of_characters() -> None:
    wide = chars("aé").inverted()
    assert [wide.has(character) for character in "abéü"] == [False, True, False, True]
    assert (wide | chars("é")).has("é")
    assert not (wide | Chars(0, True, frozenset("éü"))).has("é")
    assert [(chars("aé") | chars("b")).has(character) for character in "abéü"] == [True, True, True, False]
