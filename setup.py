"""Builds every fastroute/ext/*/*.pyx as fastroute.ext.*.*; all other metadata is in pyproject.toml.

In a checkout fastroute/ext is a symlink to ext; in an sdist it is a folder.

All modules are linked into one shared library, fastroute.ext.library, which loads them (fastroute/ext/library.pyx).
Cython calls a function of another module through a variable that is set when the module is imported. Here such calls
become direct calls: see "One library" in ARCHITECTURE.md.

Environment variables (also `make build ASAN=1`):
DEBUG=1  no optimisation, C assertions enabled   TRACE=1  line tracing, so that coverage includes .pyx
ASAN=1   AddressSanitizer and UBSan in the compiled modules
FUZZ=1   the same with clang, and coverage counters for libFuzzer (.ci/fuzz)
INPLACE=1  the modules are in build/modules already: install without building
"""

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group


def switched_on(name: str) -> bool:
    return os.environ.get(name, "0") not in ("", "0")


DEBUG, TRACE, ASAN, FUZZ, INPLACE = (switched_on(name) for name in ("DEBUG", "TRACE", "ASAN", "FUZZ", "INPLACE"))

COMPILE = ["-Wall", "-Wno-unused-function", "-Wno-cpp", "-fno-strict-aliasing", "-fvisibility=hidden"]
COMPILE += ["-O0", "-g3", "-UNDEBUG"] if DEBUG else ["-O2", "-g1"]
LINK: list[str] = []
if not ASAN and not FUZZ:  # the sanitizers check more, and do not work with fortified functions
    # Canaries on the stack, and every address that a call jumps through is read-only after loading.
    COMPILE += ["-fstack-protector-strong"]
    LINK += ["-Wl,-z,relro,-z,now"]
    if not DEBUG:  # needs optimisation. glibc and compilers that do not have level 3 use level 2
        COMPILE += ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3"]
if ASAN:
    SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
    COMPILE += [*SANITIZE, "-O1"]
    LINK += SANITIZE
if FUZZ:  # clang leaves the runtime of the sanitizers to the process that loads the modules
    COMPILE += ["-fsanitize=fuzzer-no-link,address,undefined", "-fno-sanitize-recover=undefined", "-O1"]
    LINK += ["-fsanitize=address,undefined", "-shared-libasan"]

# RE2 is a C++ library.
CPLUSPLUS = {"fastroute/ext/routing/regex.pyx"}
LIBRARIES = ["re2", "ssl", "crypto", "nghttp2"]
LIBRARY = "fastroute/ext/library.pyx"
LIBRARY_NAME = "fastroute.ext.library"

# A function of another module, as Cython declares it, and the place where its address is looked up.
IMPORTED = re.compile(r"^static (.+?)\(\*(__pyx_f_\w+)\)\((.*)\); /\*proto\*/$", re.MULTILINE)
LOOKED_UP = re.compile(r"\(void \(\*\*\)\(void\)\) ?&(__pyx_f_\w+)")
# A function of this module, declared or defined.
OWN = re.compile(r"^static (?!CYTHON_INLINE\b)([^;(=\n]*?)(__pyx_f_\w+)\(", re.MULTILINE)


def module(path: Path) -> Extension:
    language = "c++" if str(path) in CPLUSPLUS else "c"
    return Extension(".".join(path.with_suffix("").parts), [str(path)], language=language)


def call_directly(texts: dict[Path, str]) -> dict[Path, str]:
    """C files in which the functions of other modules are called by name. When a module is imported it still compares
    their signatures. C++ files remain as they are."""
    c = {path: text for path, text in texts.items() if path.suffix == ".c"}
    own = {found[2] for text in c.values() for found in OWN.finditer(text)}
    wanted = own & {found[2] for text in c.values() for found in IMPORTED.finditer(text)}

    def imported(found: re.Match[str]) -> str:
        result, name, parameters = found.groups()
        if name not in wanted:
            return found[0]
        return f"extern {result}{name}({parameters}); static void (*{name}_found)(void);"

    def rewritten(text: str) -> str:
        text = OWN.sub(lambda found: f"{found[1]}{found[2]}(" if found[2] in wanted else found[0], text)
        text = IMPORTED.sub(imported, text)
        return LOOKED_UP.sub(lambda found: f"&{found[1]}_found" if found[1] in wanted else found[0], text)

    return {**texts, **{path: rewritten(text) for path, text in c.items()}}


def initialiser(name: str) -> str:
    """The C function that creates a module. Cython's name for it does not include the package."""
    return "PyInit_" + "_".join(name.split(".")[2:])


def list_modules(names: list[str]) -> str:
    """The table that library.pyx includes."""
    declared = "".join(f"extern void *{initialiser(name)}(void);\n" for name in names)
    rows = "".join(f'    {{"{name}", {initialiser(name)}}},\n' for name in names)
    table = "static struct Module {const char *name; void *(*init)(void);} MODULES[]"
    return f"{declared}{table} = {{\n{rows}    {{0, 0}}\n}};\n"


def write_if_changed(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class BuildLibrary(build_ext):
    """Translates Cython to C only when modules are built: the sdist and the metadata need no C files."""

    def build_extension(self, extension: Extension) -> None:
        # C files with line tracing differ from those of other builds.
        folder = Path("build/trace" if TRACE else "build")
        sources = self.translate([Path(source) for source in extension.sources], folder)
        with ThreadPoolExecutor(self.parallel or 1) as pool:
            objects = list(pool.map(self.compile, sources, sources.values()))
        path = self.get_ext_fullpath(extension.name)
        if self.force or newer_group([*objects, "setup.py"], path):
            self.compiler.link_shared_object(
                objects,
                path,
                libraries=LIBRARIES,
                export_symbols=self.get_export_symbols(extension),
                extra_postargs=LINK,
                build_temp=self.build_temp,
                target_lang="c++",
            )

    def translate(self, paths: list[Path], folder: Path) -> dict[Path, str]:
        """The C files, with the names of their modules."""
        translated = cythonize(
            [module(path) for path in paths],
            nthreads=os.cpu_count() or 1,
            quiet=True,
            build_dir=str(folder / "c"),
            compiler_directives={
                "language_level": "3",
                "boundscheck": False,
                "wraparound": False,
                "cdivision": True,
                "initializedcheck": False,
                "linetrace": TRACE,
                "binding": True,
            },
        )
        names = {Path(one.sources[0]): one.name for one in translated}
        header = folder / "direct/modules.h"
        listed = list_modules([name for name in names.values() if name != LIBRARY_NAME])
        if newer_group(["setup.py", *map(str, names)], str(header)) or header.read_text() != listed:
            texts = {path: path.read_text() for path in names}
            for path, text in call_directly(texts).items():
                write_if_changed(folder / "direct" / path.relative_to(folder / "c"), text)
            header.write_text(listed)
        return {folder / "direct" / path.relative_to(folder / "c"): name for path, name in names.items()}

    def compile(self, source: Path, name: str) -> str:
        [target] = self.compiler.object_filenames([str(source)], output_dir=self.build_temp)
        header = source.parents[len(name.split(".")) - 1] / "modules.h"
        needs = [str(source), "setup.py", *([str(header)] if name == LIBRARY_NAME else [])]
        if self.force or newer_group(needs, target):
            self.compiler.compile(
                [str(source)],
                output_dir=self.build_temp,
                include_dirs=[*self.include_dirs, str(header.parent)],
                macros=[
                    (f"PyInit_{source.stem}", initialiser(name)),
                    *([("CYTHON_TRACE_NOGIL", "1")] if TRACE else []),
                ],
                extra_postargs=[*COMPILE, *(["-std=c++17"] if source.suffix == ".cpp" else [])],
            )
        return target


SOURCES = sorted(Path("fastroute/ext").glob("*/*.pyx"))
if not SOURCES:
    sys.exit(
        "fastroute/ext has no .pyx files: without the compiled modules fastroute does not work, so nothing is built.\n"
        "Build from a whole checkout (fastroute/ext is a symlink to ext) or from an sdist of a release."
    )

setup(
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
    ext_modules=[] if INPLACE else [Extension(LIBRARY_NAME, [LIBRARY, *map(str, SOURCES)])],
    cmdclass={"build_ext": BuildLibrary},
)
