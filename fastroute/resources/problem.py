"""ManifestProblem: what is wrong with something that users wrote, where, and the way out.

A Fault is the same thing before it is known which object and which file it stands in.
"""

import re
from typing import Any, NamedTuple

import msgspec

Path = tuple[str | int, ...]  # ("spec", "rules", 0, "name"): from the object's root
_STEP = re.compile(r"\[([^]]*)\]|[^.\[]+")


class Fault(NamedTuple):
    """One broken rule inside one object."""

    path: Path
    message: str  # "must be an integer from 0 to 1000000, got -1"
    fix: str | None = None  # the value to write instead, in YAML, if there is one answer
    wanted: Any = None  # the Text that would take the value as it is written, perhaps in quotes or with its unit


class ManifestProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of one manifest; `str()` is the line that users read."""

    file: str
    message: str
    line: int | None = None  # from 1
    column: int | None = None  # from 1
    kind: str | None = None  # None with namespace and name: it is not known which object this is
    namespace: str | None = None  # "" for a cluster-scoped kind
    name: str | None = None
    field: str | None = None  # "spec.rules[0].backendRefs[0].weight"
    fix: str | None = None  # the field as it should be, in YAML
    reason: str | None = None  # what a warning is called: "UnknownField"

    def __str__(self) -> str:
        parts = [":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)]
        if self.kind:
            parts.append(f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}")
        if self.field:
            parts.append(self.field)
        return ": ".join([*parts, self.message])


def field_name(path: Path) -> str | None:
    """("spec", "rules", 0) is `spec.rules[0]`; a key that is no identifier is written `[key]`. None for the root."""
    text = ""
    for step in path:
        plain = isinstance(step, str) and step.isidentifier()
        text += (f".{step}" if text else str(step)) if plain else f"[{step}]"
    return text or None


def field_path(name: str) -> Path:
    """What `field_name` made a name of. (A key that is a number in brackets is taken for the place in a list.)"""
    steps = (step[0] if step[1] is None else step[1] for step in _STEP.finditer(name))
    return tuple(int(step) if step.isdecimal() else step for step in steps)
