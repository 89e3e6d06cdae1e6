"""Compiles the C programs of this folder into .cache/bench, again only if their sources changed."""

import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = Path(".cache/bench")
LIBRARIES = {
    "pace": (),
    "pace2": ("-lnghttp2",),
    "calls": ("-lnghttp2",),
    "echo": ("-lnghttp2",),
    "datagrams": (),
    "tunnels": (),
    "relay": (),
    "shake": ("-lssl", "-lcrypto"),
}


def compiled(name: str) -> str:
    """The path of the program. Raises CalledProcessError."""
    program, source = FOLDER / name, HERE / f"{name}.c"
    changed = max(path.stat().st_mtime for path in (source, *HERE.glob("*.h")))
    if not program.exists() or program.stat().st_mtime < changed:
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:  # others may compile or run it at the same time
            made = Path(folder) / name
            words = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(made), str(source)]
            subprocess.run([*words, *LIBRARIES[name]], check=True)
            made.replace(program)
    return str(program)
