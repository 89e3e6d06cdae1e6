"""ManifestProblem: an error in something that users wrote: what, where, and how to fix it.

A Fault is the same before the object and file are known.
"""

import re
from typing import Any, NamedTuple

import msgspec

Path = tuple[str | int, ...]  # from the root of the object, for example ("spec", "rules", 0, "name")
_STEP = re.compile(r"\[([^]]*)\]|[^.\[]+")


class Fault(NamedTuple):
    """A violation of one rule by one object."""

    path: Path
    message: str  # for example "must be an integer from 0 to 1000000, got -1"
    fix: str | None = None  # the correct value in YAML, if there is only one
    wanted: Any = None  # a Text that may accept the value as written in the file, if quoted or with its unit appended


class ManifestProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One fault in one manifest; `str()` is the line that users read."""

    file: str
    message: str
    line: int | None = None  # from 1
    column: int | None = None  # from 1
    kind: str | None = None  # None, like namespace and name, if the object cannot be identified
    namespace: str | None = None  # "" for a cluster-scoped kind
    name: str | None = None
    field: str | None = None  # "spec.rules[0].backendRefs[0].weight"
    fix: str | None = None  # the corrected field in YAML
    reason: str | None = None  # only for a warning, for example "UnknownField"

    def __str__(self) -> str:
        parts = [":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)]
        if self.kind:
            parts.append(f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}")
        if self.field:
            parts.append(self.field)
        return ": ".join([*parts, self.message])


def field_name(path: Path) -> str | None:
    """`spec.rules[0]` for ("spec", "rules", 0); a key that is no identifier is written `[key]`. None for the root."""
    text = ""
    for step in path:
        plain = isinstance(step, str) and step.isidentifier()
        text += (f".{step}" if text else str(step)) if plain else f"[{step}]"
    return text or None


def field_path(name: str) -> Path:
    """The inverse of `field_name`, except that a key which is a number in brackets is read as a list index."""
    steps = (step[0] if step[1] is None else step[1] for step in _STEP.finditer(name))
    return tuple(int(step) if step.isdecimal() else step for step in steps)
