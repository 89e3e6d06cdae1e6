"""From YAML and JSON text to plain values and positions."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fastroute.resources.document import MAX_DEPTH, MalformedError, nearest, parse, parse_json, places, split

SCALARS = [
    ("yes", True),
    ("On", True),
    ("no", False),
    ("OFF", False),
    ("true", True),
    ('"true"', "true"),
    ("'no'", "no"),
    ("8080", 8080),
    ("-1", -1),
    ("+12", 12),
    ("1_000", 1000),
    ("0x1F", 31),
    ("0o17", 15),
    ("017", 15),
    ("0b11", 3),
    ('"8080"', "8080"),
    ("8080.0", 8080),
    ("0.5", 0.5),
    ("1e3", 1000),
    (".5", 0.5),
    ("1.2.3", "1.2.3"),
    ("1:30", "1:30"),
    ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
    ("2026-01-31", "2026-01-31"),
    ("-x", "-x"),
    ("/path", "/path"),
    ("!!str 5", "5"),
    ("!!int '5'", 5),
    ("!!float 5", 5.0),
    ("! 5", "5"),
    ("|\n  two\n  lines\n", "two\nlines\n"),
    ("[a, 1]", ["a", 1]),
    ("{a: ~}", {}),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_a_scalar_means_what_it_means_to_kubectl(text, value):
    [document] = parse(f"key: {text}\n")
    assert document == {"key": value}
    assert type(document["key"]) is type(value)


@pytest.mark.parametrize("text", ["key:", "key: ~", "key: null", "key: Null"])
def test_a_null_is_as_good_as_absent(text):
    assert parse(text) == [{}]
    assert parse_json('{"key": null, "list": [null, {"a": null}]}') == [{"list": [None, {}]}]


def test_anchors_and_merge_keys():
    text = "base: &base {a: 1, b: 2}\nmore: &more {c: 3}\none: *base\ntwo: {<<: [*base, *more], b: 4}\n"
    [document] = parse(text)
    assert document["one"] == {"a": 1, "b": 2}
    assert document["two"] == {"a": 1, "b": 4, "c": 3}


MALFORMED = [
    ("a: [", "while parsing a flow node, did not find expected node content", 2, 1),
    ("a: 1\n b: 2", "mapping values are not allowed in this context", 2, 3),
    ("a: 1\nb: {x: 1, x: 2}", "key 'x' occurs twice in one mapping", 2, 11),
    (
        "a:\n\tb: 2",
        "while scanning for the next token, found character that cannot start any token"
        " (a tab: YAML is indented with spaces)",
        2,
        1,
    ),
    ("a: *nobody", "alias *nobody has no anchor before it", 1, 4),
    ("a: &a [*a]", "alias *a has no anchor before it", 1, 8),
    ("? [a]\n: b", "a key must be plain text", 1, 3),
    ("a: !!binary aGk=", "'aGk=' cannot have the tag tag:yaml.org,2002:binary", 1, 4),
    ("a: !!int x", "'x' cannot have the tag tag:yaml.org,2002:int", 1, 4),
    ("a: !!set {b}", "unknown tag tag:yaml.org,2002:set", 1, 4),
    ("a: !mine [b]", "unknown tag !mine", 1, 4),
    ("a: {<<: 5}", "<< requires a mapping or a list of mappings", 1, 5),
    ("- " * 5000, f"nested deeper than {MAX_DEPTH} levels", 1, 2 * MAX_DEPTH + 1),
    ("a: \x01", "unacceptable character #x0001: control characters are", None, None),
]


@pytest.mark.parametrize(("text", "message", "line", "column"), MALFORMED)
def test_what_is_no_yaml_says_where(text, message, line, column):
    with pytest.raises(MalformedError) as caught:
        parse(text)
    error = caught.value
    assert (error.message, error.line, error.column) == (message, line, column)


def bomb(levels, text=""):
    lines = [text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    return "\n".join([*lines, *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels))])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb(3), "aliases repeat more than 4 values for each character of the document"),
        (bomb(9, f"# {'x' * 500_000}"), "more than 500000 values after expanding aliases"),
        (f"a: &a {'[' * 40}{']' * 40}\nb: &b [*a]\nc: {'[' * 30}*b{']' * 30}", "nested deeper than 64 levels"),
    ],
)
def test_aliases_repeat_a_limited_number_of_values_and_levels(text, message):
    with pytest.raises(MalformedError, match=message):
        parse(text)


def test_aliases_within_the_limits():
    assert parse(bomb(2))[0]["a1"] == [["x"] * 10] * 10
    assert parse("a: &a {x: &x [[1]]}\nb: {<<: *a, y: *x}\nc: *a") == [
        {"a": {"x": [[1]]}, "b": {"y": [[1]], "x": [[1]]}, "c": {"x": [[1]]}}
    ]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('{"a":' * 3000 + "1" + "}" * 3000, 1, 5 * MAX_DEPTH + 1),
        ('["]\\"]",\n' + "[" * 400 + "]" * 401, 2, MAX_DEPTH),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), 1, MAX_DEPTH + 1),
    ],
    ids=["mappings", "a second line", "one level too many"],
)
def test_json_that_is_nested_deeply_says_where(text, line, column):
    with pytest.raises(MalformedError) as caught:
        parse_json(text)
    error = caught.value
    assert (error.message, error.line, error.column) == (f"nested deeper than {MAX_DEPTH} levels", line, column)


def test_json_may_have_all_levels():
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH) == parse("[" * MAX_DEPTH + "]" * MAX_DEPTH)


def test_json_says_where():
    with pytest.raises(MalformedError) as caught:
        parse_json('{"ä": 1,\n "b": }')
    assert (caught.value.message, caught.value.line, caught.value.column) == (
        "invalid character",
        2,
        7,
    )
    with pytest.raises(MalformedError, match="truncated"):
        parse_json('{"a": ')


SPLITS = [
    ("a: 1\n", ["a: 1\n"]),
    ("a: 1\n---\nb: 2\n", ["a: 1\n", "---\nb: 2\n"]),
    ("---\na: 1\n--- # next\nb: 2", ["---\na: 1\n", "--- # next\nb: 2"]),
    ("a: |\n  ---\n  x\n", ["a: |\n  ---\n  x\n"]),
    ("a: 1\n----\n", ["a: 1\n----\n"]),
    ("%YAML 1.1\n---\na: 1\n---\nb: 2\n", ["%YAML 1.1\n---\na: 1\n---\nb: 2\n"]),
    ("a: 1\n---", ["a: 1\n", "---"]),
    ("a: 1\n--- {b: 2}\n", ["a: 1\n", "--- {b: 2}\n"]),
]


@pytest.mark.parametrize(("text", "parts"), SPLITS)
def test_a_file_is_cut_into_documents(text, parts):
    assert split(text) == parts


lines_of_yaml = st.lists(
    st.sampled_from(["a: 1", "b: [1,", "  2]", "---", "--- ", "--- {c: 1}", "----", "# x", "", "d: |", "  ---", "..."]),
    max_size=12,
)


@given(lines_of_yaml)
def test_cutting_changes_nothing(lines):
    """The parts contain the same documents as the file, and joined they are equal to the file."""
    text = "\n".join(lines)
    parts = split(text)
    assert "".join(parts) == text
    try:
        whole = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError:
        return
    try:
        assert [document for part in parts for document in parse(part) if document is not None] == whole
    except MalformedError as error:
        assert "occurs twice" in error.message  # noqa: PT017  PyYAML takes the last of a repeated key


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text("aé€ 0:-#'\"{\n", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcxyz<", min_size=1), inner, max_size=3),
    max_leaves=10,
)


def _without_nulls(value):
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text("abcxyz", min_size=1), plain))
def test_json_and_yaml_agree(value):
    assert parse_json(json.dumps(value)) == [_without_nulls(value)]
    assert parse(yaml.safe_dump(value)) == [_without_nulls(value)]


POSITIONS = [
    (("spec",), (2, 1)),
    (("spec", "rules"), (3, 3)),
    (("spec", "rules", 0), (3, 11)),
    (("spec", "rules", 1, "name"), (5, 7)),
    (("spec", "rules", 1, "missing"), (4, 5)),
    (("nothing",), (1, 1)),
]


@pytest.mark.parametrize(("path", "place"), POSITIONS)
def test_a_field_is_found_at_its_key_and_an_absent_one_at_what_would_contain_it(path, place):
    text = 'kind: X\nspec:\n  rules: [{"name": a},\n    {\n      name: b}]\n'
    assert nearest(places(text)[0], path) == place


def test_fields_of_later_documents_are_found():
    assert nearest(places("a: 1\n...\n---\nb: 1\n")[1], ("b",)) == (4, 1)
    assert places("a: [") == []


def test_json_is_read_with_pauses():
    pauses = 0

    def pause():
        nonlocal pauses
        pauses += 1

    parse_json(json.dumps({"items": [{"spec": {}}] * 100}), pause)
    assert pauses == 201
