"""Builds every fastroute/ext/*/*.pyx as fastroute.ext.*.*; all other metadata is in pyproject.toml.

In a checkout fastroute/ext is a symlink to ext; in an sdist it is a folder.

Environment variables (also `make build ASAN=1`):
DEBUG=1  no optimisation, C assertions enabled   TRACE=1  line tracing, so that coverage includes .pyx
ASAN=1   AddressSanitizer and UBSan in the compiled modules
FUZZ=1   the same with clang, and coverage counters for libFuzzer (.ci/fuzz)
INPLACE=1  the modules are in build/modules already: install without building
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext


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

# Modules compiled as C++: RE2 is a C++ library.
CPLUSPLUS = {"routing.regex": {"language": "c++", "libraries": ["re2"], "extra_compile_args": [*COMPILE, "-std=c++17"]}}

# Modules that call OpenSSL.
TLS = {"libraries": ["ssl", "crypto"]}
USERS = (
    "admission",
    "anchors",
    "certificate",
    "context",
    "identity",
    "keycost",
    "names",
    "pem",
    "secure",
    "ticket",
    "tls",
    "verification",
)

LIBRARIES = {
    **CPLUSPLUS,
    **{f"tls.{name}": TLS for name in USERS},
    "routing.session": TLS,
    "message.grpcweb": TLS,
    "message.websocket": TLS,
    **{f"http2.{name}": {"libraries": ["nghttp2"]} for name in ("incoming", "outgoing", "parent")},
}


def extension(path: Path) -> Extension:
    options = {
        "extra_compile_args": COMPILE,
        "extra_link_args": LINK,
        "depends": ["setup.py"],  # changed options compile everything again
        **LIBRARIES.get(f"{path.parent.name}.{path.stem}", {}),
    }
    if TRACE:
        options["define_macros"] = [("CYTHON_TRACE_NOGIL", "1")]
    return Extension(".".join(path.with_suffix("").parts), [str(path)], **options)


class TranslateAndBuild(build_ext):
    """Translates Cython to C only when modules are built: the sdist and the metadata need no C files."""

    def run(self) -> None:
        translated = cythonize(
            self.extensions,
            nthreads=os.cpu_count() or 1,
            quiet=True,
            # C files with line tracing differ from those of other builds.
            build_dir="build/trace/c" if TRACE else "build/c",
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
        sources = {one.name: one.sources for one in translated}
        for one in self.extensions:
            one.sources = sources[one.name]
        super().run()


SOURCES = sorted(Path("fastroute/ext").glob("*/*.pyx"))
if not SOURCES:
    sys.exit(
        "fastroute/ext has no .pyx files: without the compiled modules fastroute does not work, so nothing is built.\n"
        "Build from a whole checkout (fastroute/ext is a symlink to ext) or from an sdist of a release."
    )

setup(
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
    ext_modules=[] if INPLACE else [extension(path) for path in SOURCES],
    cmdclass={"build_ext": TranslateAndBuild},
)
