"""Runs the commands of documents in order, in a cluster, and compares their output with the documents.

A ```sh block is run unchanged and must succeed. A ```console block has commands after `$ ` and their output, which is
compared except for what differs between runs: ages, times, addresses, generated names and numbers, and the order of
lines. A line `...` stands for any lines. Statuses and Events are written with a delay, so these commands are repeated
until the output is as expected, or for PATIENCE: they must not change anything. Other blocks are not run. Exported
variables remain set for later blocks.

    python -m installed.walkthrough [--update] DOCUMENT…      --update writes what was printed into the documents
"""

import argparse
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from cluster import isolation
from cluster.api import ApiError
from cluster.programs import CLUSTER, ECHO, ROOT, TOOLS, built, suite
from cluster.scratch import scratch

from installed.release import ADDRESS, NAME, NAMESPACE, Release, balancer, released

PATIENCE = 60.0  # seconds for a command to print the expected output
SHOWN = "192.0.2.7"  # in the documents, it stands for the address that a cloud assigns (RFC 5737)

_BLOCK = re.compile(r"^```(sh|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_MADE_UP = (
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"), "UID"),
    (re.compile(r"\b\d+\.\d+\.\d+\.\d+\b"), "IP"),
    (re.compile(r"(resourceVersion|Resource Version):\s+\"?\d+\"?"), "VERSION"),
    (re.compile(r"-[a-z0-9]{6,10}-[a-z0-9]{5}\b"), "-POD"),
    (re.compile(r"(?<![\w.])(?:\d+[dhms]|<invalid>)+(?: ?\(x\d+ over (?:\d+[dhms])+\))?(?![\w.])"), "AGE"),
    (re.compile(r"\s+"), " "),
)


class Step(NamedTuple):
    """One command, and its expected output; `printed` None: any output."""

    command: str
    printed: str | None


class MismatchError(Exception):
    """A command failed, or its output differs from the document."""


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """(language, content) of the blocks that are run."""
    return ((found[1], found[2]) for found in _BLOCK.finditer(text))


def steps(language: str, content: str) -> tuple[Step, ...]:
    if language == "sh":
        return (Step(content, None),)
    pieces = re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]
    return tuple(Step(command, printed) for command, _, printed in (piece.partition("\n") for piece in pieces))


def agree(printed: str, expected: str) -> bool:
    """Whether the lines equal those of the document, except for generated values and order (Events have none)."""
    lines = Counter(map(_plain, printed.strip().splitlines()))
    wanted = Counter(map(_plain, expected.strip().splitlines()))
    if wanted.pop("...", 0):
        return wanted <= lines
    return wanted == lines


def _plain(line: str) -> str:
    for pattern, name in _MADE_UP:
        line = pattern.sub(name, line)
    return line.strip()


class Shell:
    """Runs commands in the repository; keeps the variables that they export."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = dict(environment)
        self._state = folder / "exports"
        self._state.write_text("")

    def run(self, command: str) -> str:
        """The output of a command. Raises MismatchError if it fails."""
        script = f"source {self._state}; set -eo pipefail\n{command}\nexport -p > {self._state}\n"
        ended = subprocess.run(
            ["bash", "-c", script], cwd=ROOT, env=self._environment, capture_output=True, text=True, check=False
        )
        if ended.returncode:
            raise MismatchError(f"{command}\n{ended.stdout}{ended.stderr}")
        return ended.stdout.replace(ADDRESS, SHOWN)


def walk(shell: Shell, path: Path, *, update: bool) -> None:
    """Runs a document. Raises MismatchError with the command, its output, and the expected output."""
    text, written = path.read_text(), []
    after = 0
    for found in _BLOCK.finditer(text):
        written += [text[after : found.start(2)], _walked(shell, steps(found[1], found[2]), update=update)]
        after = found.end(2)
    if update:
        path.write_text("".join(written) + text[after:])


def _walked(shell: Shell, sequence: Sequence[Step], *, update: bool) -> str:
    """Runs the steps of a block; returns its text, with the actual output where that differs."""
    written = []
    for step in sequence:
        printed = _settled(shell, step, update=update)
        if step.printed is None:
            return step.command
        same = agree(printed, step.printed)
        written.append(f"$ {step.command}\n{step.printed if same or not printed else printed.rstrip() + chr(10)}")
    return "".join(written)


def _settled(shell: Shell, step: Step, *, update: bool) -> str:
    """The output of a step, once it is as expected; with `update` its output after 5 s, if it differs."""
    end = time.monotonic() + (5.0 if update else PATIENCE)
    while True:
        try:
            printed = shell.run(step.command)
        except MismatchError:
            if step.printed is None or time.monotonic() > end:
                raise
            printed = ""
        if step.printed is None or agree(printed, step.printed):
            return printed
        if time.monotonic() > end:
            if update:
                return printed
            raise MismatchError(f"$ {step.command}\n{printed}\n--- expected:\n{step.printed}")
        time.sleep(0.5)


@contextmanager
def attended(release: Release) -> Iterator[None]:
    """Does what a cloud does after the chart is installed: gives pods their token, and the Service an address."""
    ended = threading.Event()

    def attend() -> None:
        with ExitStack() as stack:
            while not ended.wait(0.2):
                try:
                    release.api.get("Service", NAMESPACE, NAME)
                except ApiError:
                    continue
                release.admit()
                stack.enter_context(balancer(release))
                ended.wait()

    thread = threading.Thread(target=attend, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="installed.walkthrough")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("documents", nargs="+", type=Path)
    chosen = parser.parse_args(arguments)
    for module in (CLUSTER, ECHO, TOOLS, suite("v1.6.3")):
        built(module)
    isolation.enter()
    with (
        scratch("walk") as folder,
        released(folder) as release,
        attended(release),
    ):
        shell = Shell(release.environment, folder)
        for path in chosen.documents:
            begin = time.monotonic()
            walk(shell, path, update=chosen.update)
            print(f"{path}: every command as written, {time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
