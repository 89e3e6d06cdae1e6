"""Schema: the values that a field may have, built from Text, Whole, Flag, List, Map, Record and Anything.

`faults(value)` checks a plain value as parsed from YAML and yields the faults; paths are built only for faults. It
checks types, lengths, ranges, patterns, choices, required fields and unique keys (OpenAPI v3 as CRDs use it); rules
over several fields are in `cel.py`, and the schema of each kind is in `shapes.py`. Fields that a Record does not name
are not checked: the API server drops them, and `unknown_fields` reports them. Both call `pause` for each item of a list
or map.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol

import msgspec

from fastroute.nearest import nearest
from fastroute.resources.document import Pause, no_pause, scalar
from fastroute.resources.problem import Fault

_DIGITS = re.compile(r"[0-9]{1,18}")
_SHOWN = 60  # characters of a value that a message shows
_SCALARS = (str, bool, int, float)
_PLURAL = {"item": "items", "entry": "entries", "character": "characters"}


Advice = tuple[str, str | None]  # text that the message adds in brackets, and a value that may match the form


class Schema(Protocol):
    """The values that a field may have."""

    def faults(self, value: Any, pause: Pause = no_pause) -> Iterable[Fault]: ...


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A string: its length in characters, its form (matched by search, so anchor it), or choices."""

    least: int = 0
    most: int | None = None
    form: str | None = None  # regular expression
    like: str | None = None  # the form in words, for example "a DNS name (lower case)"
    known: tuple[str, ...] = ()  # well-known values of the form, for suggestions
    advise: Callable[[str], Advice] | None = None  # called for a value that does not match the form
    choices: tuple[str, ...] = ()
    unit: str = ""  # appended to a number without a unit, for a fix

    def faults(self, value: Any, pause: Pause = no_pause) -> Iterable[Fault]:
        if not isinstance(value, str):
            wanted = self if isinstance(value, bool | int | float) else None
            yield Fault((), f"must be {self.words}, got {_shown(value)}", wanted=wanted)
        elif self.choices:
            if value not in self.choices:
                near = nearest(value, self.choices)
                hint = f" (did you mean {near}?)" if near else ""
                yield Fault((), f"must be {self.words}, got {_shown(value)}{hint}", near and scalar(near))
        elif not self.least <= len(value) <= (len(value) if self.most is None else self.most):
            yield Fault((), f"must have {_amount(self.least, self.most, 'character')}, got {len(value)}")
        elif self.form is not None and not re.search(self.form, value):
            words, mended = self.advise(value) if self.advise else ("", value)
            lower = (mended or "").strip().lower()
            fix = nearest(value, self.known) or (lower if re.search(self.form, lower) else None)
            wanted = self if self.unit else None
            yield Fault((), f"must be {self.words}, got {_shown(value)}{words}", fix and scalar(fix), wanted)

    def takes(self, text: str) -> bool:
        return not any(self.faults(text))

    @property
    def words(self) -> str:
        if self.choices:
            return "one of " + ", ".join(self.choices) if len(self.choices) > 1 else self.choices[0]
        return self.like or (f"a string that matches {self.form}" if self.form else "a string")


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """An integer."""

    least: int | None = None
    most: int | None = None
    choices: tuple[int, ...] = ()

    def faults(self, value: Any, pause: Pause = no_pause) -> Iterable[Fault]:
        if type(value) is not int or not self._allows(value):
            quoted = isinstance(value, str) and _DIGITS.fullmatch(value) is not None and self._allows(int(value))
            fix = str(int(value)) if quoted else None
            got = f'"{value}" (remove the quotes)' if quoted else _shown(value)
            yield Fault((), f"must be {self.words}, got {got}", fix)

    def _allows(self, value: int) -> bool:
        if self.choices:
            return value in self.choices
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    @property
    def words(self) -> str:
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        if self.least is not None and self.most is not None:
            return f"an integer from {self.least} to {self.most}"
        return "an integer" if self.least is None else f"an integer of at least {self.least}"


class Flag(msgspec.Struct, frozen=True):
    """A boolean."""

    def faults(self, value: Any, pause: Pause = no_pause) -> Iterable[Fault]:
        if not isinstance(value, bool):
            yield Fault((), f"must be true or false, got {_shown(value)}")


class List(msgspec.Struct, frozen=True, kw_only=True):
    """A list. If `keys` is set, the items must be unique by these fields (a list-map)."""

    of: Any  # Schema
    least: int = 0
    most: int | None = None
    keys: tuple[str, ...] = ()

    def faults(self, value: Any, pause: Pause = no_pause) -> Iterable[Fault]:
        if not isinstance(value, list):
            yield Fault(
                (), f"must be a list, got {_shown(value)}" + (" (list items begin with '- ')" if value != {} else "")
            )
            return
        if len(value) < self.least or (self.most is not None and len(value) > self.most):
            yield Fault((), f"must have {_amount(self.least, self.most, 'item')}, got {len(value)}")
        check = self.of.faults
        for index, item in enumerate(value):
            pause()
            for fault in check(item, pause):
                yield fault._replace(path=(index, *fault.path))
        if self.keys and len(value) > 1:
            yield from self._repeated(value)

    def _repeated(self, value: list[Any]) -> Iterator[Fault]:
        first: dict[tuple[str, ...], int] = {}
        for index, item in enumerate(value):
            if isinstance(item, dict) and all(isinstance(item.get(name), _SCALARS) for name in self.keys):
                key = tuple(repr(item[name]) for name in self.keys)
                other = first.setdefault(key, index)
                if other != index:
                    names = " and ".join(f"{name} {_shown(item[name])}" for name in self.keys)
                    yield Fault((index,), f"{names} is already used at [{other}] of this list: it must be unique")


class Map(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping with any keys, whose values have one schema."""

    of: Any = None  # the schema of the values; None: any value
    keys: Any = None  # the schema of the keys; None: any string
    most: int | None = None

    def faults(self, value: Any, pause: Pause = no_pause) -> Iterable[Fault]:
        if not isinstance(value, dict):
            yield Fault((), f"must be a mapping, got {_shown(value)}")
            return
        if self.most is not None and len(value) > self.most:
            yield Fault((), f"must have {_amount(0, self.most, 'entry')}, got {len(value)}")
        for name, item in value.items():
            pause()
            if self.keys is not None:
                for fault in self.keys.faults(name):
                    yield Fault((name,), f"the key {fault.message}")
            if self.of is not None:
                for fault in self.of.faults(item, pause):
                    yield fault._replace(path=(name, *fault.path))


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An object with these fields."""

    fields: Mapping[str, Any]  # field name → Schema
    required: tuple[str, ...] = ()

    def faults(self, value: Any, pause: Pause = no_pause) -> Iterable[Fault]:
        if not isinstance(value, dict):
            yield Fault((), f"must be a mapping, got {_shown(value)}")
            return
        for name in self.required:
            if name not in value:
                yield Fault((name,), "is required")
        fields = self.fields
        for name, item in value.items():
            if (schema := fields.get(name)) is not None:
                for fault in schema.faults(item, pause):
                    yield fault._replace(path=(name, *fault.path))


class Anything(msgspec.Struct, frozen=True):
    """Not checked."""

    def faults(self, value: Any, pause: Pause = no_pause) -> Iterable[Fault]:
        return ()


def unknown_fields(schema: Any, value: Any, pause: Pause = no_pause) -> Iterator[Fault]:
    """The fields of `value` that the schema does not have. The API server drops them silently."""
    if isinstance(schema, Record) and isinstance(value, dict):
        for name, item in value.items():
            if name in schema.fields:
                inner: Iterator[Fault] = unknown_fields(schema.fields[name], item, pause)
            else:
                near = nearest(name, tuple(schema.fields))
                hint = f": did you mean {near}?" if near else ""
                inner = iter((Fault((), f"is not a field of this API and has no effect{hint}"),))
            for fault in inner:
                yield fault._replace(path=(name, *fault.path))
    elif isinstance(schema, List) and isinstance(value, list):
        for index, item in enumerate(value):
            pause()
            for fault in unknown_fields(schema.of, item, pause):
                yield fault._replace(path=(index, *fault.path))


def _amount(least: int, most: int | None, noun: str) -> str:
    nouns = noun if (least if most is None else most) == 1 else _PLURAL[noun]
    if most is None:
        return f"at least {least} {nouns}"
    if least == most:
        return f"exactly {least} {nouns}"
    return f"{least} to {most} {nouns}" if least else f"at most {most} {nouns}"


def _beginning(value: Any) -> str:
    """The beginning of a value in JSON: a value may contain hundreds of thousands."""
    return "".join(islice(json.JSONEncoder(ensure_ascii=False, default=str).iterencode(value), _SHOWN + 1))


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) and value else _beginning(value)
    if isinstance(value, str) and value and (value != value.strip() or not value.isprintable()):
        text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
