"""What a run of the suite said, in a few lines: its log has megabytes, its report no reasons.

`go test -v` writes `--- PASS: TestConformance/NAME (1.23s)` for tests and, deeper, subtests; what a test logs stands
between its `=== RUN` (or `=== CONT`, `=== NAME`) line and the next one.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

_RESULT = re.compile(r"^\s*--- (PASS|FAIL|SKIP): TestConformance/([^\s/]+)((?:/\S+)?) \(([\d.]+)s\)")
_RUN = re.compile(r"^=== (?:RUN|CONT|NAME)\s+TestConformance/(\S+)")
_PLACE = re.compile(r"^\s+\S+\.go:\d+: ")
_NUMBER = re.compile(r"\d+")
_TIME = re.compile(r"^\s*(?:\S+\.go:\d+: )?\d{4}-\d\d-\d\dT[\d:.]+Z: ")
# What says why; all else is progress.
_TELLING = re.compile(
    r"Error:|[Ee]rror (?!Trace)|[Ee]xpected|Messages:|did not|didn't|[Tt]imed? ?out|[Uu]nexpected|fail|not as|panic:"
)
LINES = 3  # of a failed part that are shown
PARTS = 3  # of a failed test that are shown


class Outcome(NamedTuple):
    """One test: its result and, if it failed, the first telling lines of each failed part."""

    name: str
    result: str  # PASS, FAIL, SKIP
    seconds: float
    lines: tuple[str, ...] = ()


def outcomes(log: Iterable[str]) -> list[Outcome]:
    """The tests of a log, in the order of their results."""
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
    return _PLACE.sub("", _TIME.sub("", line)).strip()[:240]


def _first(parts: Iterable[str], said: dict[str, list[str]]) -> tuple[str, ...]:
    """The last lines that failed parts said, each once whatever numbers it has: the suite repeats itself for long."""
    lines: list[str] = []
    for part in list(parts)[:PARTS]:
        different = list({_NUMBER.sub("", line): line for line in said.get(part, ())}.values())[-LINES:]
        if different:
            lines.append(f"[{part.partition('/')[2]}]" if "/" in part else "[test]")
            lines.extend(different)
    return tuple(lines)


def text(found: list[Outcome]) -> str:
    """A page for people: failures with their lines, then the counts."""
    lines = []
    for one in found:
        if one.result == "FAIL":
            lines.append(f"FAIL {one.name} ({one.seconds:.0f} s)")
            lines.extend(f"     {line}" for line in one.lines)
    counts = {result: sum(one.result == result for one in found) for result in ("PASS", "FAIL", "SKIP")}
    lines.append(f"passed {counts['PASS']}, failed {counts['FAIL']}, skipped {counts['SKIP']}")
    return "\n".join(lines)
