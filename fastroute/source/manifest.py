"""Manifest: the content of one file as last read: its decoded documents and the objects that they define.

A document whose text is unchanged keeps its Document object, so an edit in a file of thousands decodes one. While an
object is invalid, its last valid version is used. While a document is so broken that its object cannot be identified,
the last valid versions of all objects of the file are used, because any of them may be the broken one. (`origin.line`
of an object is the line at which it was decoded; documents that only moved are not decoded again.)
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

import msgspec

from fastroute.resources.decode import Entry, Id, decode
from fastroute.resources.document import Pause, no_pause, split
from fastroute.resources.meta import Resource
from fastroute.resources.problem import ManifestProblem

MOST_PROBLEMS = 100  # reported per file
LOT = 100  # documents or definitions that are copied at a time

Definitions = Mapping[Id, tuple[Resource | None, ...]]  # None: invalid, and no valid version was read before


class Document(msgspec.Struct, frozen=True):
    """One document, as decoded at `line`."""

    line: int
    entries: tuple[Entry, ...]
    definitions: tuple[tuple[Id, tuple[Resource]], ...]  # the definitions of the valid entries
    is_faulty: bool


_Name = tuple[str, int | None]  # the text of a document, and its line if that is part of the result


def _name(text: str, document: Document) -> _Name:
    return text, document.line if document.is_faulty else None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a file."""

    path: str
    parts: Sequence[str] = ()  # the texts of its documents, in order
    documents: Sequence[Document] = ()  # one for each part
    definitions: Definitions = {}  # several resources: the file defines the object several times
    is_simple: bool = True  # every document is valid and every object is defined once
    problems: tuple[ManifestProblem, ...] = ()
    warnings: tuple[ManifestProblem, ...] = ()

    def lines(self) -> Mapping[Id, Sequence[int]]:
        """The lines at which its documents define each object."""
        found: dict[Id, list[int]] = {}
        line = 1
        for part, document in zip(self.parts, self.documents, strict=True):
            for entry in document.entries:
                if entry.id is not None:
                    found.setdefault(entry.id, []).append(line + entry.line - document.line)
            line += part.count("\n")
        return found


def read(path: str, content: bytes, previous: Manifest | None, pause: Pause = no_pause) -> Manifest:
    """The manifest with this `content`."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return unreadable(path, "is not UTF-8 text", previous, line)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    parts = [text] if path.endswith(".json") else split(text, pause)
    return _edited(previous or Manifest(path=path), parts, pause)


def unreadable(path: str, message: str, previous: Manifest | None, line: int | None = None) -> Manifest:
    """The manifest of a file whose content cannot be read: everything that it last defined."""
    problem = ManifestProblem(file=path, line=line, message=message)
    return msgspec.structs.replace(previous or Manifest(path=path), problems=(problem,), warnings=())


def _edited(before: Manifest, parts: Sequence[str], pause: Pause) -> Manifest:
    """`before` with other parts. The cost depends on the size of the edit only, unless the file has faults."""
    head, tail = _unchanged(before.parts, parts) if before.is_simple else (0, 0)
    known: dict[_Name, Document] = {}
    removed = range(head, len(before.parts) - tail)
    for number in removed:
        pause()
        old = before.documents[number]
        known[_name(before.parts[number], old)] = old
    added = list(_documents(parts, range(head, len(parts) - tail), known, before.path, pause=pause))
    documents = [
        *_lots(before.documents, range(head), pause),
        *_lots(added, range(len(added)), pause),
        *_lots(before.documents, range(len(before.documents) - tail, len(before.documents)), pause),
    ]
    definitions = _replaced(before, removed, added, pause) if before.is_simple else None
    _free(known, pause)
    faulty = list(_faulty(added, pause))
    return Manifest(
        path=before.path,
        parts=parts,
        documents=documents,
        definitions=_definitions(documents, before.definitions, pause) if definitions is None else definitions,
        is_simple=definitions is not None,
        problems=_first(before.path, [entry.problems for entry in faulty]),
        warnings=_first(before.path, [entry.warnings for entry in faulty]),
    )


def _faulty(documents: Iterable[Document], pause: Pause) -> Iterator[Entry]:
    for document in documents:
        pause()
        if document.is_faulty:
            yield from document.entries


def _first(path: str, found: Sequence[Sequence[ManifestProblem]]) -> tuple[ManifestProblem, ...]:
    """At most MOST_PROBLEMS, and one that says how many more there are."""
    problems = tuple(islice(chain.from_iterable(found), MOST_PROBLEMS))
    if more := sum(map(len, found)) - len(problems):
        return (*problems, ManifestProblem(file=path, message=f"has {more:,} more problems, which are not shown"))
    return problems


def _unchanged(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """The numbers of parts at the beginning and at the end that are unchanged."""
    most = min(len(before), len(after))
    head = next((index for index in range(most) if before[index] != after[index]), most)
    most -= head
    tail = next((index for index in range(most) if before[-1 - index] != after[-1 - index]), most)
    return head, tail


def _lots(documents: Sequence[Document], which: range, pause: Pause) -> Iterator[Document]:
    """Those with these indices. Documents that are not in a cache take up to 4 µs each."""
    for index in which:
        if index % LOT == 0:
            pause()
        yield documents[index]


def _free(known: dict[_Name, Document], pause: Pause) -> None:
    while known:
        pause()
        for _ in range(min(LOT, len(known))):
            known.popitem()


def _documents(
    parts: Sequence[str], which: range, known: Mapping[_Name, Document], path: str, *, pause: Pause
) -> Iterator[Document]:
    """The documents of some parts: known ones, or decoded. Lines are only counted as far as needed."""
    json = path.endswith(".json")
    line, counted = 1, 0
    for index in which:
        pause()
        part = parts[index]
        document = known.get((part, None))
        if document is None:
            line += sum(parts[number].count("\n") for number in range(counted, index))
            counted = index
            document = known.get((part, line)) or _decoded(part, path, line, json=json, pause=pause)
        yield document


def _decoded(text: str, path: str, line: int, *, json: bool, pause: Pause) -> Document:
    entries = decode(text, path, line, json=json, pause=pause)
    definitions: list[tuple[Id, tuple[Resource]]] = []
    is_faulty = False
    for entry in entries:
        pause()
        is_faulty |= bool(entry.problems or entry.warnings)
        if entry.id and entry.resource:
            definitions.append((entry.id, (entry.resource,)))
    return Document(line, entries, tuple(definitions), is_faulty)


def _replaced(before: Manifest, removed: range, added: Sequence[Document], pause: Pause) -> Definitions | None:
    """The definitions after an edit of a simple manifest. None: it is not simple any more."""
    definitions = _copy(before.definitions, pause)
    for name, _ in _defined(_lots(before.documents, removed, pause), pause):
        del definitions[name]
    for name, found in _defined(added, pause):
        if name in definitions:
            return None
        definitions[name] = found
    return None if any(document.is_faulty for document in added) else definitions


def _copy(before: Definitions, pause: Pause) -> dict[Id, tuple[Resource | None, ...]]:
    """Definitions that are not in a cache take up to 4 µs each."""
    definitions: dict[Id, tuple[Resource | None, ...]] = {}
    items = iter(before.items())
    for _ in range(0, len(before), LOT):
        pause()
        definitions.update(islice(items, LOT))
    return definitions


def _defined(documents: Iterable[Document], pause: Pause) -> Iterator[tuple[Id, tuple[Resource]]]:
    for document in documents:
        for definition in document.definitions:
            pause()
            yield definition


def _definitions(documents: Sequence[Document], before: Definitions, pause: Pause) -> Definitions:
    several: dict[Id, list[Resource | None]] = {}
    unknown = False
    for document in documents:
        pause()
        for name, found in document.definitions:
            pause()
            several.setdefault(name, []).extend(found)
        for entry in document.entries if document.is_faulty else ():
            pause()
            if entry.id is None:
                unknown |= bool(entry.problems)
            elif entry.resource is None:
                kept = next(filter(None, before.get(entry.id, ())), None)
                several.setdefault(entry.id, []).append(kept)
    definitions: dict[Id, tuple[Resource | None, ...]] = {}
    for name, all_ in several.items():
        pause()
        definitions[name] = tuple(all_)
    if unknown:
        definitions |= {name: items for name, items in before.items() if name not in definitions}
    return definitions
