"""One target for some minutes, `campaign.py run TARGET MINUTES`, or one input, `campaign.py replay TARGET FILE`.

Called by .ci/fuzz, which sets LIBRARIES: the libraries that the process of libFuzzer loads first. A run prints one line
of figures. If there is a finding, it also prints the error and the file of the input, and the exit status is 1.

libFuzzer runs in a process of its own, without the interpreter, and ends at its first finding. Publications are decoded
in Python, so libFuzzer would have nothing to count: their inputs are changed at random in a plain loop here.
"""

import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import frames

SEEDS = Path(__file__).parent / "seeds"
CACHE = Path(".cache/fuzz")
PUBLICATION = "publication"
MEMORY = 2048  # MiB
LONGEST = 4096  # bytes of an input
SECONDS = 10  # for one input
DRIVER = (
    "import os, sys; from fuzz.driver import drive; sys.exit(drive(sys.argv[1], list(map(os.fsencode, sys.argv[2:]))))"
)
REASONS = re.compile(r"^(BROKEN PROPERTY.*|==\d+==\s?ERROR.*|.*runtime error:.*|SUMMARY:.*|\w*Error:.*)$", re.MULTILINE)


class Figures(NamedTuple):
    executions: int
    coverage: str  # edges of compiled code
    findings: list[Path]
    log: str


def inputs(target: str) -> Path:
    """The folder of the findings of a target, in the cache."""
    folder = CACHE / "findings" / target
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def libfuzzer(target: str, *arguments: str) -> tuple[int, str]:
    """Its exit status and its output."""
    environment = {**os.environ, "LD_PRELOAD": os.environ["LIBRARIES"], "PYTHONMALLOC": "malloc"}
    command = [sys.executable, "-P", "-c", DRIVER, target, *arguments]
    ended = subprocess.run(
        command,
        env=environment,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return ended.returncode, ended.stdout.decode(errors="replace")


def run_compiled(target: str, minutes: int) -> Figures:
    corpus = CACHE / "corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    before = set(inputs(target).iterdir())
    status, log = libfuzzer(
        target,
        f"-max_total_time={60 * minutes}",
        f"-rss_limit_mb={MEMORY}",
        f"-max_len={LONGEST}",
        f"-timeout={SECONDS}",
        "-print_final_stats=1",
        "-reload=0",
        f"-artifact_prefix={inputs(target)}/",
        str(corpus),
        str(SEEDS / target),
    )
    executed = re.findall(r"^stat::number_of_executed_units:\s+(\d+)$", log, re.MULTILINE)
    covered = re.findall(r"^#\d+\s.* cov: (\d+)", log, re.MULTILINE)
    found = sorted(set(inputs(target).iterdir()) - before)
    if not executed or (status and not found):
        sys.exit(f"fuzz: libFuzzer ended with status {status}\n{log[-4000:]}")
    return Figures(int(executed[-1]), covered[-1] if covered else "0", found, log)


def run_publication(minutes: int) -> Figures:
    drawn = random.Random()
    known = [path.read_bytes() for path in sorted((SEEDS / PUBLICATION).iterdir())]
    end = time.monotonic() + 60 * minutes
    executions = 0
    while time.monotonic() < end:
        made = frames.mutate(drawn.choice(known), known, drawn)[:LONGEST]
        executions += 1
        broken = frames.replay(made)
        if broken:
            path = inputs(PUBLICATION) / f"broken-{executions}"
            path.write_bytes(made)
            return Figures(executions, "-", [path], f"BROKEN PROPERTY: {broken}\n")
    return Figures(executions, "-", [], "")


def run(target: str, minutes: int) -> int:
    begun = time.monotonic()
    figures = run_publication(minutes) if target == PUBLICATION else run_compiled(target, minutes)
    rate = int(figures.executions / (time.monotonic() - begun))
    line = f"{target:<12} {figures.executions:>12} {rate:>10} {figures.coverage:>9} {len(figures.findings):>9}"
    print(line, flush=True)
    (CACHE / f"{target}.log").write_text(figures.log)
    for path in figures.findings:
        print("  " + "\n  ".join(dict.fromkeys(REASONS.findall(figures.log))))
        print(f"  the input is in {path}; to run it again: .ci/fuzz replay {target} {path}")
        print(f"  to make it a test: cp {path} {os.path.relpath(SEEDS)}/{target}/WHAT-IT-IS", flush=True)
    return bool(figures.findings)


def replay(target: str, file: str) -> int:
    """With the report of the sanitizer."""
    if target == PUBLICATION:
        broken = frames.replay(Path(file).read_bytes())
        print(broken or "no finding")
        return broken is not None
    status, log = libfuzzer(target, file)
    print(log)
    return status != 0


if __name__ == "__main__":
    what, target, argument = sys.argv[1:]
    sys.exit(run(target, int(argument)) if what == "run" else replay(target, argument))
