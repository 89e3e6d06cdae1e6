"""Manifest: one file as last read, its documents decoded, and what it contributes.

A document whose text is as before keeps its very same object, so an edit in a file of thousands decodes one. What an
object was when it was last whole stays in force while it is broken; all of them while a document of the file cannot
be told apart, for then nobody knows which object it was. (An object's `origin.line` is the one at which it was
decoded; documents that only moved are not decoded again.)
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from fastroute.resources.decode import Entry, Id, decode
from fastroute.resources.document import split
from fastroute.resources.meta import Resource
from fastroute.resources.problem import ManifestProblem

Definitions = Mapping[Id, tuple[Resource | None, ...]]  # None: broken, and never was whole


class Document(msgspec.Struct, frozen=True):
    """One document as decoded at `line`."""

    line: int
    entries: tuple[Entry, ...]
    definitions: tuple[tuple[Id, tuple[Resource]], ...]  # of the entries that are whole
    is_faulty: bool


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A file."""

    path: str
    parts: Sequence[str] = ()  # the texts of its documents, in order
    documents: Mapping[str, Document] = {}  # by text
    definitions: Definitions = {}  # of one object more than one: the same object twice in this file
    problems: tuple[ManifestProblem, ...] = ()
    warnings: tuple[ManifestProblem, ...] = ()

    def lines(self, name: Id) -> Iterator[int]:
        """Where its documents define an object."""
        line = 1
        for part in self.parts:
            document = self.documents[part]
            yield from (line + entry.line - document.line for entry in document.entries if entry.id == name)
            line += part.count("\n")


def read(path: str, content: bytes, previous: Manifest | None) -> Manifest:
    """The manifest that `content` is."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return unreadable(path, "is not UTF-8 text", previous, line)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    json = path.endswith(".json")
    known = previous.documents if previous else {}
    parts = [text] if json else split(text)
    documents = list(_documents(parts, known, path, json=json))
    faulty = [entry for document in documents if document.is_faulty for entry in document.entries]
    return Manifest(
        path=path,
        parts=parts,
        documents=dict(zip(parts, documents, strict=True)),
        definitions=_definitions(documents, previous.definitions if previous else {}),
        problems=tuple(problem for entry in faulty for problem in entry.problems),
        warnings=tuple(warning for entry in faulty for warning in entry.warnings),
    )


def unreadable(path: str, message: str, previous: Manifest | None, line: int | None = None) -> Manifest:
    """The manifest of a file whose content cannot be had: all that it last defined."""
    definitions = previous.definitions if previous else {}
    problem = ManifestProblem(file=path, line=line, message=message)
    return Manifest(path=path, definitions=definitions, problems=(problem,))


def _documents(parts: Sequence[str], known: Mapping[str, Document], path: str, *, json: bool) -> Iterator[Document]:
    """Each part's document: the known one, or decoded. Lines are counted no further than somebody wants to know one."""
    line, counted = 1, 0
    for index, part in enumerate(parts):
        document = known.get(part)
        if document is None or document.is_faulty:
            line += sum(parts[number].count("\n") for number in range(counted, index))
            counted = index
            if document is None or document.line != line:
                document = _decoded(part, path, line, json=json)
        yield document


def _decoded(text: str, path: str, line: int, *, json: bool) -> Document:
    entries = decode(text, path, line, json=json)
    definitions = tuple((entry.id, (entry.resource,)) for entry in entries if entry.id and entry.resource)
    return Document(line, entries, definitions, any(entry.problems or entry.warnings for entry in entries))


def _definitions(documents: Sequence[Document], before: Definitions) -> Definitions:
    definitions: dict[Id, tuple[Resource | None, ...]] = {}
    unknown = False
    for document in documents:
        for name, found in document.definitions:
            definitions[name] = (*definitions[name], *found) if name in definitions else found
        if document.is_faulty:
            for entry in document.entries:
                if entry.id is None:
                    unknown = True
                elif entry.resource is None:
                    kept = next(filter(None, before.get(entry.id, ())), None)
                    definitions[entry.id] = (*definitions.get(entry.id, ()), kept)
    if unknown:
        definitions |= {name: items for name, items in before.items() if name not in definitions}
    return definitions
