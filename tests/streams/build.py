"""Builds the Cython modules of tests/streams, as `streams.framing` and `streams.records`: `build.py FOLDER`. It
works with the modules of any build."""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

ROOT = Path(__file__).parent.parent.parent


def build(folder: str) -> None:
    os.chdir(ROOT)
    flags = ["-O1", "-g1", "-Wno-unused-function", "-Wno-cpp", "-fno-strict-aliasing"]
    modules = cythonize(
        [
            Extension(f"streams.{name}", [f"tests/streams/{name}.pyx"], extra_compile_args=flags)
            for name in ("framing", "records")
        ],
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
    setup(name="streams", packages=[], ext_modules=modules, script_args=words)


if __name__ == "__main__":
    build(*sys.argv[1:])
