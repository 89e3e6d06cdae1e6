"""import-linter cannot see .pyx and .pxd: their import and cimport lines are read here.

The compiled part may lean on itself, on C and C++ headers, and on nothing else of ours or of others.
"""

import re
from pathlib import Path

import pytest

EXT = Path(__file__).parent.parent / "ext"
SOURCES = sorted([*EXT.glob("*.pyx"), *EXT.glob("*.pxd")])

ALLOWED = ("fastroute.ext", "libc", "libcpp", "posix", "cpython", "cython")
ALSO = {
    "accesslog.pyx": ("os", "stat"),  # its Python face opens nothing itself: it takes descriptors over
    "engine.pyx": ("typing", "os", "random"),  # its Python face: descriptors, a seed, statistics
    "counters.pyx": ("mmap", "os"),  # its Python faces map the file that main hands over
    "http1.pyx": ("typing",),  # its Python face gives NamedTuples
}
LINE = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import\b|c?import\s+([\w.]+(?:\s*,\s*[\w.]+)*))")


def imported(text: str) -> list[str]:
    """Names of the modules that the import and cimport lines of `text` lean on, in order."""
    names = []
    for line in text.splitlines():
        if found := LINE.match(line):
            names += re.split(r"\s*,\s*", found[1] or found[2])
    return names


def allowed(name: str) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in ALLOWED)


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
