"""Builds the targets, tests/fuzz/*.pyx, as the package `fuzz` in a folder: `build.py FOLDER [LIBFUZZER]`.

With LIBFUZZER, a shared library, it builds for coverage, with the compiler of CC (clang), and includes the driver.
Without, the targets only replay inputs: with any compiler, and against the modules of any build.
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCES = Path(__file__).parent
ROOT = SOURCES.parent.parent
DRIVER = "driver"


def extension(path: Path, libfuzzer: str) -> Extension:
    compile_, link = ["-O1", "-g1", "-Wno-unused-function", "-Wno-cpp", "-fno-strict-aliasing"], []
    if libfuzzer:
        compile_ += ["-fsanitize=fuzzer-no-link,address,undefined", "-fno-sanitize-recover=undefined"]
        link += ["-fsanitize=address,undefined", "-shared-libasan"]
    if path.stem == DRIVER:
        link.append(libfuzzer)
    return Extension(
        f"fuzz.{path.stem}", [str(path.relative_to(ROOT))], extra_compile_args=compile_, extra_link_args=link
    )


def build(folder: str, libfuzzer: str = "") -> None:
    os.chdir(ROOT)
    paths = [path for path in sorted(SOURCES.glob("*.pyx")) if libfuzzer or path.stem != DRIVER]
    modules = cythonize(
        [extension(path, libfuzzer) for path in paths],
        include_path=[".", "tests"],
        build_dir=f"{folder}/c",
        quiet=True,
        compiler_directives={
            "language_level": "3",
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
        },
    )
    words = ["--quiet", "build_ext", "--build-lib", f"{folder}/lib", "--build-temp", f"{folder}/objects"]
    setup(name="fuzz", packages=[], ext_modules=modules, script_args=[*words, "--parallel", str(os.cpu_count())])


if __name__ == "__main__":
    build(*sys.argv[1:])
