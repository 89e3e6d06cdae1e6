"""`python -m bench.instructions [--before COMMIT] [CASE...]`: the instructions that the engine executes per request.

Valgrind counts the instructions of all turns of an Engine (not those of the kernel, the client and the backend). A busy
machine hardly changes the count: two runs differed by up to 0.9 %. It does not show what instructions cost: a cache
miss counts as much as an addition.

`--before COMMIT` counts those of an earlier commit as well. Needs Valgrind (`apt-get install valgrind`).
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import before
from fastroute.text import Line, Table, write_page

HERE = Path(__file__).resolve().parent
COUNTS = 200, 600  # requests: the difference leaves out how the engine starts
TURN = "*6Engine_*turn*"  # the C function of Engine.turn
CASES = (
    "kept connection",
    "new connection",
    "answer of 16 KiB",
    "answer in chunks",
    "upload of 16 KiB",
    "upload in chunks",
    "one of 500 routes",
    "no trace sampled",
    "all traces sampled",
)
SHARED = {"HTTP/2": (640, 1920), "HTTP/2 to HTTP/2": (640, 1920)}  # of bench.streams; requests


def instructions(folder: Path, case: str, count: int) -> int:
    """Of all turns of the engine in `folder` for that many requests."""
    path = os.pathsep.join(map(str, (folder, folder / "tests")))
    with tempfile.TemporaryDirectory() as temporary:
        count_ = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={temporary}/out", f"--toggle-collect={TURN}"]
        script = "streams.py" if case in SHARED else "exchanges.py"
        program = [sys.executable, "-P", str(HERE / script), case, str(count)]
        environment = {**os.environ, "PYTHONPATH": path}
        run = subprocess.run([*count_, *program], cwd=folder, env=environment, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode or found is None or found[1] == "0":
        raise RuntimeError(f"{case}: {run.stderr[-2000:]}")
    return int(found[1])


def per_request(folder: Path, case: str) -> float:
    few, many = SHARED.get(case, COUNTS)
    return (instructions(folder, case, many) - instructions(folder, case, few)) / (many - few)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", metavar="COMMIT", help="an earlier commit to compare with")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"some of: {', '.join([*CASES, *SHARED])}")
    options = parser.parse_args()
    if unknown := set(options.cases) - {*CASES, *SHARED}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; the cases are: {', '.join([*CASES, *SHARED])}")
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is missing: sudo apt-get install -y valgrind")
    folders = [HERE.parent, *([before.build(options.before)] if options.before else [])]
    cases = options.cases or [*CASES, *SHARED]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [[pool.submit(per_request, folder, case) for folder in folders] for case in cases]
        counts = [[run.result() for run in row] for row in runs]
    headings = ("case", "instructions", *(("before", "ratio") if options.before else ()))
    rows = [
        (case, f"{row[0]:,.0f}", *((f"{row[1]:,.0f}", f"{row[0] / row[1]:.3f}") if options.before else ()))
        for case, row in zip(cases, counts, strict=True)
    ]
    write_page([Line("Instructions of the engine per request"), Table(headings, tuple(rows))])


if __name__ == "__main__":
    main()
