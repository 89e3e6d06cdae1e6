"""Document: one YAML or JSON document of a manifest as plain values, and the position of each value in the file.

A file is first split into documents as text (`split`), so that after an edit only the changed documents are parsed. The
values are built here from libyaml's events instead of by a PyYAML loader, because
- it is 2.5 times as fast (45 µs for a route of 20 lines);
- scalars mean the same as for kubectl: yes and on are booleans, a date is text, `1:30` is not 90;
- repeated keys, alias bombs and excessive nesting are rejected;
- null means absent, because the API server removes nulls before it sets defaults.
(The parsers in Rust are another three times as fast, but they give no positions and parse another version of YAML than
kubectl does. Parsing is one third of the second that decoding 5,000 routes takes.)
Positions are found by parsing a second time (`places`), only if there is something to report about the document.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import yaml

from fastroute.resources.problem import Path

Places = dict[Path, tuple[int, int]]  # line and column, from 1, of each key and list item of a document
Texts = dict[Path, str]
MAX_DEPTH = 64  # levels of nesting; the kinds we read have 12
MAX_NODES = 500_000  # values of one document, including those that aliases repeat
REPEATS = 4  # values that aliases may repeat for each character: 400 bytes of aliases can mean 400,000 values

_PARSER: Any = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # libyaml, or the Python implementation if PyYAML was built without libyaml
_SEPARATOR = "\n---"
_AFTER_SEPARATOR = ("", " ", "\t", "\n")
_INTEGER = re.compile(r"[-+]?(?:0b_*[01][01_]*|0o?_*[0-7][0-7_]*|0x_*[0-9a-fA-F][0-9a-fA-F_]*|0_*|[1-9][0-9_]{0,99})\Z")
_OCTAL = re.compile(r"^([-+]?)0(?=[0-7])")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_BYTE = re.compile(r" \(byte (\d+)\)\Z")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}]')  # of JSON: a string or a bracket
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
_TAG = "tag:yaml.org,2002:"
_MERGE = "<<"
_PLAIN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9./-]*")

_WORDS: dict[str, bool | float | None] = {}
for _value, _spellings in (
    (True, "y yes true on"),
    (False, "n no false off"),
    (None, "~ null"),
    (float("inf"), ".inf +.inf"),
    (float("-inf"), "-.inf"),
    (float("nan"), ".nan"),
):
    for _word in _spellings.split():
        _WORDS |= dict.fromkeys((_word, _word.capitalize(), _word.upper()), _value)
_WORDS[""] = None


Pause = Callable[[], None]  # called often, so that a long document can be read in slices (source/slices.py)


def no_pause() -> None:
    pass


class MalformedError(Exception):
    """The text is not valid YAML or JSON. `line` and `column` are within the document, from 1."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


def split(text: str) -> list[str]:
    """Splits a YAML file (lines end with \\n) at its `---` lines. The concatenation of the parts is the file.

    `---` in column 0 cannot be part of a scalar (YAML 1.2 §9.1.2), so this is safe. A text with directives is not
    split.
    """
    if "%" in text and (text.startswith("%") or "\n%" in text):
        return [text]
    parts = []
    start = 0
    at = text.find(_SEPARATOR)
    while at >= 0:
        if text[at + 4 : at + 5] in _AFTER_SEPARATOR:
            parts.append(text[start : at + 1])
            start = at + 1
        at = text.find(_SEPARATOR, at + 4)
    return [*parts, text[start:]]


def parse(text: str, pause: Pause = no_pause) -> list[Any]:
    """The documents of a YAML text (several only if `...` ends them). Raises MalformedError."""
    return list(_documents(text, None, pause=pause))


def parse_json(text: str, pause: Pause = no_pause) -> list[Any]:
    """The document of a JSON text. Raises MalformedError."""
    try:
        return [_without_nulls(msgspec.json.decode(text), pause)]
    except RecursionError:  # of msgspec or of _without_nulls
        raise MalformedError(_TOO_DEEP, *_first_too_deep(text)) from None
    except msgspec.DecodeError as error:
        message = str(error).removeprefix("JSON is malformed: ")
        at = _BYTE.search(message)
        if at is None:
            raise MalformedError(message) from None
        before = text.encode()[: int(at[1])].decode(errors="ignore")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise MalformedError(message[: at.start()], line, column) from None


def places(text: str, pause: Pause = no_pause) -> list[Places]:
    """The positions, for each document of a valid text. Empty for JSON that is not valid YAML: only the file is known
    then."""
    marks: list[Places] = []
    try:
        for _ in _documents(text, marks, pause=pause):
            pass
    except MalformedError:
        return []
    return marks


def written(text: str, pause: Pause = no_pause) -> list[Texts]:
    """For each document of a valid text, its scalars as written in the file: for example `y` or 1.10."""
    texts: list[Texts] = []
    try:
        for _ in _documents(text, [], texts, pause=pause):
            pass
    except MalformedError:
        return []
    return texts


def scalar(text: str) -> str:
    """A YAML string, in quotes unless it would be read as a string without.

    >>> scalar("apples"), scalar(""), scalar("123"), scalar("on")
    ('apples', '""', '"123"', '"on"')
    """
    return text if _PLAIN_TEXT.fullmatch(text) and text.lower() not in _WORDS else json.dumps(text)


def nearest(found: Places, path: Path) -> tuple[int, int] | None:
    """The position of the value at `path`, or of the innermost existing value that would contain it."""
    while path and path not in found:
        path = path[:-1]
    return found.get(path)


def _without_nulls(value: Any, pause: Pause, depth: int = 0) -> Any:
    """Raises RecursionError for more than MAX_DEPTH levels."""
    if not isinstance(value, dict | list):
        return value
    if depth >= MAX_DEPTH:
        raise RecursionError
    if isinstance(value, list):
        return [_without_nulls(item, pause, depth + 1) for item in value]
    pause()
    return {name: _without_nulls(item, pause, depth + 1) for name, item in value.items() if item is not None}


def _first_too_deep(text: str) -> tuple[int, int]:
    """Line and column, from 1, of the first bracket of a valid JSON text that is nested too deeply."""
    depth, start = 0, 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            if depth >= MAX_DEPTH:
                start = token.start()
                break
            depth += 1
        elif token[0] in "]}":
            depth -= 1
    return text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)


def _documents(
    text: str, marks: list[Places] | None, texts: list[Texts] | None = None, *, pause: Pause = no_pause
) -> Iterator[Any]:
    """Yields each document, and appends its positions to `marks` and its scalars to `texts`, if these are given."""
    try:
        loader = _PARSER(text)
        get = loader.get_event if pause is no_pause else _paced(loader.get_event, pause)
        try:
            while True:
                event = get()
                if isinstance(event, yaml.StreamEndEvent):
                    return
                if isinstance(event, yaml.DocumentStartEvent):
                    yield _Builder(get, len(text), _added(marks), _added(texts)).value(get(), 0, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        message = ", ".join(part for part in (error.context, error.problem) if part)
        mark: Any = error.problem_mark or error.context_mark
        if mark and "\t" in "".join(text.split("\n")[mark.line : mark.line + 1])[: mark.column + 1]:
            message += " (a tab: YAML is indented with spaces)"
        raise MalformedError(message, *((mark.line + 1, mark.column + 1) if mark else ())) from None
    except yaml.YAMLError as error:  # a control character; libyaml gives no line
        raise MalformedError(" ".join(str(error).split()[:6]).rstrip(":")) from None


def _added(found: list[dict[Path, Any]] | None) -> dict[Path, Any] | None:
    """A new, empty last item."""
    if found is None:
        return None
    found.append({})
    return found[-1]


def _paced(get: Callable[[], Any], pause: Pause) -> Callable[[], Any]:
    def paced() -> Any:
        pause()
        return get()

    return paced


class _Anchored(NamedTuple):
    """A value that aliases can repeat."""

    value: Any
    size: int  # in values
    height: int  # levels of nesting below it


class _Builder:
    """Builds the values of one document from its events; one level of nesting is one recursive call."""

    def __init__(self, get: Callable[[], Any], length: int, marks: Places | None, texts: Texts | None) -> None:
        """`length`: of the text, in characters."""
        self._get = get
        self._marks = marks  # if given, paths are computed as well
        self._texts = texts
        self._anchors: dict[str, _Anchored] = {}
        self._deepest = 0  # level of the values so far, within the anchored value
        self._left = MAX_NODES
        self._repeats = REPEATS * length  # that are left

    def value(self, event: Any, depth: int, path: Path) -> Any:
        if event.anchor is None:
            return self._plain(event, depth, path)
        if event.__class__ is yaml.AliasEvent:
            return self._alias(event, depth)
        left, deepest = self._left, self._deepest
        self._deepest = depth
        value = self._plain(event, depth, path)
        self._anchors[event.anchor] = _Anchored(value, left - self._left, self._deepest - depth)
        self._deepest = max(deepest, self._deepest)
        return value

    def _plain(self, event: Any, depth: int, path: Path) -> Any:
        """A value that is not an alias."""
        self._left -= 1
        kind = event.__class__
        if kind is yaml.ScalarEvent:
            if self._texts is not None:
                self._texts[path] = event.value
            return _scalar(event)
        self._enter(event, depth)
        return (
            self._mapping(event, depth, path) if kind is yaml.MappingStartEvent else self._sequence(event, depth, path)
        )

    def _enter(self, event: Any, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise _malformed(event, _TOO_DEEP)
        self._deepest = max(self._deepest, depth)

    def _mapping(self, start: Any, depth: int, path: Path) -> dict[str, Any]:
        _require_tag(start, "map")
        get, marks = self._get, self._marks
        result: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        seen: set[str] = set()
        if marks is not None:
            marks.setdefault(path, _place(start))
        while (event := get()).__class__ is not yaml.MappingEndEvent:
            if event.__class__ is not yaml.ScalarEvent:
                raise _malformed(event, "a key must be plain text")
            name = event.value
            if name in seen:
                raise _malformed(event, f"key {name!r} occurs twice in one mapping")
            seen.add(name)
            inner = (*path, name) if marks is not None else ()
            if marks is not None:
                marks[inner] = _place(event)
            value = self.value(get(), depth + 1, inner)
            if name == _MERGE and not event.style:
                merged += _merged(event, value)
            elif value is not None:
                result[name] = value
        for other in merged:
            for name, value in other.items():
                if name not in seen:
                    result.setdefault(name, value)
        return result

    def _sequence(self, start: Any, depth: int, path: Path) -> list[Any]:
        _require_tag(start, "seq")
        get, marks = self._get, self._marks
        result: list[Any] = []
        if marks is not None:
            marks.setdefault(path, _place(start))
        while (event := get()).__class__ is not yaml.SequenceEndEvent:
            inner = (*path, len(result)) if marks is not None else ()
            if marks is not None:
                marks[inner] = _place(event)
            result.append(self.value(event, depth + 1, inner))
        return result

    def _alias(self, event: Any, depth: int) -> Any:
        if event.anchor not in self._anchors:
            raise _malformed(event, f"alias *{event.anchor} has no anchor before it")
        value, size, height = self._anchors[event.anchor]
        self._enter(event, depth + height)
        self._left -= size
        self._repeats -= size
        if self._repeats < 0:
            raise _malformed(event, f"aliases repeat more than {REPEATS} values for each character of the document")
        if self._left <= 0:
            raise _malformed(event, f"more than {MAX_NODES} values after expanding aliases")
        return value


def _scalar(event: Any) -> Any:
    tag = event.tag
    text = event.value
    if tag is None:
        return text if event.style else _plain(text)
    if tag in ("!", _TAG + "str"):
        return text
    value = _plain(text)
    name = {bool: "bool", int: "int", float: "float", type(None): "null"}.get(type(value))
    if tag == _TAG + "float" and isinstance(value, int):
        return float(value)
    if name is None or tag != _TAG + name:
        raise _malformed(event, f"{text!r} cannot have the tag {tag}")
    return value


def _plain(text: str) -> Any:
    """The value of an unquoted scalar, as kubectl reads it (YAML 1.1 words, no dates, no base 60)."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "0123456789+-.":
        return text
    if _INTEGER.match(text):
        return int(_OCTAL.sub(r"\g<1>0o", text.replace("_", "")), 0)
    if _NUMBER.match(text):
        number = float(text)
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    return text


def _require_tag(event: Any, name: str) -> None:
    if event.tag not in (None, "!", _TAG + name):
        raise _malformed(event, f"unknown tag {event.tag}")


def _merged(event: Any, value: Any) -> list[dict[str, Any]]:
    sources = value if isinstance(value, list) else [value]
    if not all(isinstance(source, dict) for source in sources):
        raise _malformed(event, "<< requires a mapping or a list of mappings")
    return sources


def _malformed(event: Any, message: str) -> MalformedError:
    return MalformedError(message, *_place(event))


def _place(event: Any) -> tuple[int, int]:
    """Line and column, from 1."""
    return event.start_mark.line + 1, event.start_mark.column + 1
