"""The library of the compiled modules as an ELF file: every call through a table that is read-only after loading,
canaries on the stack, no executable stack, and functions of glibc that check the sizes of their targets (ELF, gABI
chapter 5; elf(5))."""

import re
import struct
from pathlib import Path
from typing import NamedTuple

import fastroute.ext.library

ROOT = Path(__file__).parent.parent.parent
LIBRARY = Path(fastroute.ext.library.__file__)

PT_DYNAMIC, PT_GNU_STACK, PT_GNU_RELRO = 2, 0x6474E551, 0x6474E552
DT_SYMTAB, DT_FLAGS, DT_FLAGS_1 = 6, 30, 0x6FFFFFFB
DF_BIND_NOW, DF_1_NOW = 8, 1
EXECUTABLE = 1
SHT_DYNSYM = 11


class Elf(NamedTuple):
    """What a 64-bit little-endian ELF file says about its protection."""

    segments: dict[int, int]  # flags by type
    dynamic: dict[int, int]  # values by tag
    symbols: frozenset[str]  # of the dynamic symbol table


def read_elf(path: Path) -> Elf:
    data = path.read_bytes()
    assert data[:6] == b"\x7fELF\x02\x01", "64-bit, little-endian"
    programs, sections = struct.unpack_from("<QQ", data, 32)
    program_size, program_count, section_size, section_count = struct.unpack_from("<4H", data, 54)
    segments, dynamic, symbols = {}, {}, set()
    for i in range(program_count):
        kind, flags, offset, _, _, size = struct.unpack_from("<IIQQQQ", data, programs + i * program_size)
        segments[kind] = flags
        if kind == PT_DYNAMIC:
            dynamic = dict(struct.iter_unpack("<QQ", data[offset : offset + size]))
    tables = [struct.unpack_from("<IIQQQQII", data, sections + i * section_size) for i in range(section_count)]
    for _, kind, _, _, offset, size, link, _ in tables:
        if kind == SHT_DYNSYM:
            names = tables[link][4]
            for (
                name,
                *_,
            ) in struct.iter_unpack("<IBBHQQ", data[offset : offset + size]):
                symbols.add(data[names + name : data.index(b"\0", names + name)].decode())
    return Elf(segments, dynamic, frozenset(symbols))


def test_the_library_has_full_relro_canaries_and_no_executable_stack():
    elf = read_elf(LIBRARY)
    assert PT_GNU_RELRO in elf.segments
    assert elf.dynamic.get(DT_FLAGS, 0) & DF_BIND_NOW or elf.dynamic.get(DT_FLAGS_1, 0) & DF_1_NOW
    assert not elf.segments[PT_GNU_STACK] & EXECUTABLE
    assert "__stack_chk_fail" in elf.symbols


def test_functions_that_check_sizes_are_used():
    used = read_elf(LIBRARY).symbols
    assert {name for name in used if name.endswith("_chk")} >= {"__memcpy_chk", "__snprintf_chk"}


def test_functions_of_other_modules_are_called_directly():
    """setup.py changes the C files that Cython writes. A new version of Cython may write them in another form."""
    sources = sorted((ROOT / "build/direct").rglob("*.c"))
    assert len(sources) > 100
    for source in sources:
        called = re.findall(r"^static .+\(\*(__pyx_f_\w+)\)\(", source.read_text(), re.MULTILINE)
        assert [name for name in called if "_5regex_" not in name] == [], source
