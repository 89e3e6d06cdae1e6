"""Reads the import and cimport lines of .pyx and .pxd files, because import-linter cannot.

Compiled modules may import only compiled modules of their own folder and of those below, C and C++ headers, and the
standard modules in ALSO. library.pyx is not one of the modules: it loads them. Also: which functions close connections.
"""

import re
from pathlib import Path

import pytest

EXT = Path(__file__).parent.parent / "ext"
SOURCES = sorted([*EXT.glob("*/*.pyx"), *EXT.glob("*/*.pxd")])

# The lowest first.
FOLDERS = (
    "memory",
    "message",
    "http1",
    "tls",
    "routing",
    "reactor",
    "datagrams",
    "http2",
    "sides",
    "exchange",
    "engine",
)

ALLOWED = ("fastroute.ext", "libc", "libcpp", "posix", "cpython", "cython")
ALSO = {
    "accesslog.pyx": ("os", "stat"),  # its Python API opens no files: it takes over descriptors
    "engine.pyx": ("typing", "os", "random"),  # its Python API: descriptors, a seed, statistics
    "confinement.pyx": ("os",),  # its Python API: paths, texts of errors
    "entropy.pyx": ("os",),  # its Python API
    "counters.pyx": ("mmap", "os"),  # its Python API maps the file that the main process passes
    "sockets.pyx": ("heapq",),  # sorts listeners in steps
    "http1.pyx": ("typing",),  # its Python API returns NamedTuples
}
LINE = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import\b|c?import\s+([\w.]+(?:\s*,\s*[\w.]+)*))")


def imported(text: str) -> list[str]:
    """Names of the modules in the import and cimport lines of `text`, in order."""
    names = []
    for line in text.splitlines():
        if found := LINE.match(line):
            names += re.split(r"\s*,\s*", found[1] or found[2])
    return names


def allowed(name: str) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in ALLOWED)


# The files outside of http1/ that may use it: its two sides, and where a connection keeps what they have parsed. All
# others know Messages only (ext/message), so another protocol does not concern them.
HTTP1_USERS = {
    "sides/http1_client.pyx", "sides/http1_backend.pyx", "sides/http1_trailing.pxd", "sides/http1_trailing.pyx",
    "sides/http1_chunk.pxd", "sides/http1_chunk.pyx", "reactor/connection.pxd", "reactor/reactor.pxd",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("from libc.stdint cimport uint32_t", ["libc.stdint"]),
        ("cimport cython, trio", ["cython", "trio"]),
        ("import msgspec", ["msgspec"]),
        ("    from fastroute.graph cimport node", ["fastroute.graph"]),
        ('cdef extern from "errno.h" nogil:', []),
    ],
)
def test_import_lines_are_read(text: str, names: list[str]) -> None:
    assert imported(text) == names


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_the_compiled_part_leans_on_c_alone(source: Path) -> None:
    assert [
        name for name in imported(source.read_text()) if not (allowed(name) or name in ALSO.get(source.name, ()))
    ] == []


def test_every_source_is_in_a_folder_with_a_rank() -> None:
    assert {source.parent.relative_to(EXT).as_posix() for source in SOURCES} == set(FOLDERS)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_folders_use_only_lower_ones(source: Path) -> None:
    used = {name.split(".")[2] for name in imported(source.read_text()) if name.startswith("fastroute.ext.")}
    below = FOLDERS[: FOLDERS.index(source.parent.name) + 1]
    assert used - set(below) == set()


def test_only_the_listed_files_know_http1() -> None:
    users = {
        source.relative_to(EXT).as_posix()
        for source in SOURCES
        if source.parent.name != "http1"
        and any(name.startswith("fastroute.ext.http1") for name in imported(source.read_text()))
    }
    assert users == HTTP1_USERS


def test_no_module_uses_itself_through_others() -> None:
    uses: dict[str, set[str]] = {}
    for source in SOURCES:
        module = f"{source.parent.name}.{source.stem}"
        names = {name.removeprefix("fastroute.ext.") for name in imported(source.read_text())}
        uses.setdefault(module, set()).update(names - {module})
    while free := {module for module in uses if not uses[module] & set(uses)}:
        for module in free:
            del uses[module]
    assert set(uses) == set()


CLOSERS = {
    *("downstream_adopt", "downstream_close", "handshake_fail", "upstream_close", "listener_close"),
    *("place_close", "reader_close"),
}


def test_only_the_listed_functions_close_connections() -> None:
    """ARCHITECTURE.md, "Who may close"."""
    found = set()
    for source in EXT.rglob("*.pyx"):
        function = ""
        for line in source.read_text().splitlines():
            if definition := re.match(r"(?:cdef|def) [^(]*?(\w+)\(", line):
                function = definition[1]
            elif "close_connection(" in line:
                found.add(function)
    assert found == CLOSERS
