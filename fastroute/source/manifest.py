"""Manifest: one file as last read, its documents decoded, and what it contributes.

A document whose text is as before keeps its very same object, so an edit in a file of thousands decodes one. What an object
was when it was last whole stays in force while it is broken; all of them while a document of the file cannot be told apart,
for then nobody knows which object it was. (An object's `origin.line` is the one at which it was decoded; documents that
only moved are not decoded again.)
"""

import msgspec

from fastroute.resources.decode import Entry, decode
from fastroute.resources.document import Chunk, split
from fastroute.resources.meta import Key, Resource
from fastroute.resources.problem import ManifestProblem

Id = tuple[str, Key]                    # kind and key


class Definition(msgspec.Struct, frozen=True):
    """A place that defines an object; `resource` is None where it is broken and never was whole."""

    resource: Resource | None
    line: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A file."""

    path: str
    decoded: dict[Chunk, tuple[Entry, ...]] = {}
    definitions: dict[Id, tuple[Definition, ...]] = {}  # more than one: the same object twice in this file
    problems: tuple[ManifestProblem, ...] = ()
    warnings: tuple[ManifestProblem, ...] = ()


def read(path: str, content: bytes, previous: Manifest | None) -> Manifest:
    """The manifest that `content` is."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return unreadable(path, ManifestProblem(file=path, line=line, message="is not UTF-8 text"), previous)
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    json = path.endswith(".json")
    chunks = (Chunk(text, 1),) if json else split(text)
    decoded = _decoded(chunks, path, previous, json=json)
    entries = [entry for found in decoded.values() for entry in found]
    return Manifest(
        path=path,
        decoded=decoded,
        definitions=_definitions(entries, previous),
        problems=tuple(problem for entry in entries for problem in entry.problems),
        warnings=tuple(warning for entry in entries for warning in entry.warnings),
    )


def unreadable(path: str, problem: ManifestProblem, previous: Manifest | None) -> Manifest:
    """The manifest of a file whose content cannot be had: all that it last defined."""
    definitions = previous.definitions if previous else {}
    return Manifest(path=path, definitions=definitions, problems=(problem,))


def _decoded(
    chunks: tuple[Chunk, ...], path: str, previous: Manifest | None, *, json: bool
) -> dict[Chunk, tuple[Entry, ...]]:
    before = previous.decoded if previous else {}
    moved: dict[str, tuple[Entry, ...]] | None = None
    decoded = {}
    for chunk in chunks:
        found = before.get(chunk)
        if found is None:
            if moved is None:
                moved = {other.text: entries for other, entries in before.items()}
            found = moved.get(chunk.text)
            if found is None or any(entry.problems or entry.warnings for entry in found):
                found = decode(chunk.text, path, chunk.line, json=json)
        decoded[chunk] = found
    return decoded


def _definitions(entries: list[Entry], previous: Manifest | None) -> dict[Id, tuple[Definition, ...]]:
    before = previous.definitions if previous else {}
    definitions: dict[Id, tuple[Definition, ...]] = {}
    unknown = False
    for entry in entries:
        if entry.kind is None or entry.key is None:
            unknown = True
            continue
        name = (entry.kind, entry.key)
        resource = entry.resource or next((item.resource for item in before.get(name, ()) if item.resource), None)
        definition = Definition(resource, entry.line)
        definitions[name] = (*definitions[name], definition) if name in definitions else (definition,)
    if unknown:
        definitions = {**definitions, **{name: items for name, items in before.items() if name not in definitions}}
    return definitions
