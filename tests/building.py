"""Cython modules of a folder of tests: `building.py PACKAGE FOLDER [LIBFUZZER]` builds tests/PACKAGE/*.pyx in
FOLDER/lib, as the package PACKAGE. They work with the modules of any build of fastroute.

With LIBFUZZER, a shared library, it builds for coverage, with the compiler of CC (clang), and includes the module
`driver`, which needs that library.
"""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DRIVER = "driver"
DIRECTIVES = {
    "language_level": "3",
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
}


def build(package: str, folder: str, libfuzzer: str = "") -> None:
    from Cython.Build import cythonize
    from setuptools import Extension, setup

    def extension(path: Path) -> Extension:
        compile_, link = ["-O1", "-g1", "-Wno-unused-function", "-Wno-cpp", "-fno-strict-aliasing"], ["-lcrypto"]
        if libfuzzer:
            compile_ += ["-fsanitize=fuzzer-no-link,address,undefined", "-fno-sanitize-recover=undefined"]
            link += ["-fsanitize=address,undefined", "-shared-libasan"]
        if path.stem == DRIVER:
            link.append(libfuzzer)
        return Extension(f"{package}.{path.stem}", [str(path)], extra_compile_args=compile_, extra_link_args=link)

    os.chdir(ROOT)
    paths = [path for path in sorted(Path("tests", package).glob("*.pyx")) if libfuzzer or path.stem != DRIVER]
    modules = cythonize(
        [extension(path) for path in paths],
        include_path=[".", "tests"],
        build_dir=f"{folder}/c",
        quiet=True,
        compiler_directives=DIRECTIVES,
    )
    words = ["--quiet", "build_ext", "--build-lib", f"{folder}/lib", "--build-temp", f"{folder}/objects"]
    setup(name=package, packages=[], ext_modules=modules, script_args=[*words, "--parallel", str(os.cpu_count())])


def built(package: str, folder: str) -> None:
    """Builds the modules that changed, and lets this process import them. Several processes may do this at the same
    time."""
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    (ROOT / folder).mkdir(parents=True, exist_ok=True)
    with (ROOT / folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, __file__, package, folder]
        ended = subprocess.run(
            command, env=environment, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    assert ended.returncode == 0, ended.stdout
    sys.path.append(str(ROOT / folder / "lib"))


if __name__ == "__main__":
    build(*sys.argv[1:])
