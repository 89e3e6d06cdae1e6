"""A short summary of a run of the suite, whose log has megabytes and whose report contains no reasons.

`go test -v` writes `--- PASS: TestConformance/NAME (1.23s)` for tests and, indented, subtests. A test's log lines are
between its `=== RUN` (or `=== CONT`, `=== NAME`) line and the next one.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

_RESULT = re.compile(r"^\s*--- (PASS|FAIL|SKIP): TestConformance/([^\s/]+)((?:/\S+)?) \(([\d.]+)s\)")
_RUN = re.compile(r"^=== (?:RUN|CONT|NAME)\s+TestConformance/(\S+)")
_POSITION = re.compile(r"^\s+\S+\.go:\d+: ")
_NUMBER = re.compile(r"\d+")
_TIME = re.compile(r"^\s*(?:\S+\.go:\d+: )?\d{4}-\d\d-\d\dT[\d:.]+Z: ")
# Lines with reasons; all others report progress.
_TELLING = re.compile(
    r"Error:|[Ee]rror (?!Trace)|[Ee]xpected|Messages:|did not|didn't|[Tt]imed? ?out|[Uu]nexpected|fail|not as|panic:"
)
LINES = 3  # shown per failed part
PARTS = 3  # shown per failed test


class Outcome(NamedTuple):
    """One test: its result and, if it failed, the last lines with reasons of each failed part."""

    name: str
    result: str  # PASS, FAIL, SKIP
    seconds: float
    lines: tuple[str, ...] = ()


def outcomes(log: Iterable[str]) -> list[Outcome]:
    """The tests in a log, in the order of their results."""
    said: dict[str, list[str]] = {}
    failed: dict[str, list[str]] = {}
    results: dict[str, tuple[str, float]] = {}
    current = ""
    for line in log:
        if found := _RUN.match(line):
            current = found[1]
        elif found := _RESULT.match(line):
            verdict, test, part, seconds = found.groups()
            if part == "":
                results[test] = (verdict, float(seconds))
            if verdict == "FAIL":
                failed.setdefault(test, []).append(test + part)
        elif _TELLING.search(line):
            said.setdefault(current, []).append(_shown(line))
    return [Outcome(test, *verdict, _first(failed.get(test, ()), said)) for test, verdict in results.items()]


def _shown(line: str) -> str:
    return _POSITION.sub("", _TIME.sub("", line)).strip()[:240]


def _first(parts: Iterable[str], said: dict[str, list[str]]) -> tuple[str, ...]:
    """The last different lines of each failed part. Lines that differ only in numbers count as one: the suite repeats
    them."""
    lines: list[str] = []
    for part in list(parts)[:PARTS]:
        different = list({_NUMBER.sub("", line): line for line in said.get(part, ())}.values())[-LINES:]
        if different:
            lines.append(f"[{part.partition('/')[2]}]" if "/" in part else "[test]")
            lines.extend(different)
    return tuple(lines)


def text(found: list[Outcome]) -> str:
    """The summary as text: failures with their lines, then the counts."""
    lines = []
    for one in found:
        if one.result == "FAIL":
            lines.append(f"FAIL {one.name} ({one.seconds:.0f} s)")
            lines.extend(f"     {line}" for line in one.lines)
    counts = {result: sum(one.result == result for one in found) for result in ("PASS", "FAIL", "SKIP")}
    lines.append(f"passed {counts['PASS']}, failed {counts['FAIL']}, skipped {counts['SKIP']}")
    return "\n".join(lines)
