"""An earlier commit as an additional proxy, to compare a change with the code before it in the same run.

`build` exports the commit into .cache/bench/before/HASH and compiles it there, once. `command` runs that copy:
PYTHONPATH takes precedence over the editable install of this checkout.
"""

import subprocess
import sys
from pathlib import Path

BEFORE = "before"
FOLDER = Path(".cache/bench/before")


def build(revision: str) -> Path:
    """The folder of the compiled commit, built if it does not exist. Raises CalledProcessError for a bad revision."""
    verify = ["git", "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}"]
    commit = subprocess.run(verify, capture_output=True, text=True, check=True).stdout.strip()
    folder = (FOLDER / commit).resolve()
    done = folder / ".built"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", commit], capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
        compile_ = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
        subprocess.run(compile_, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        done.touch()
    return folder


def command(folder: Path, options: list[str]) -> list[str]:
    """The command line of `fastroute serve` from `folder`."""
    return ["env", f"PYTHONPATH={folder}", sys.executable, "-P", "-m", "fastroute", "serve", *options]
