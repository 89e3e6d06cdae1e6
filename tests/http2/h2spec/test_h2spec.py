"""h2spec, strict: every case passes, except those listed with a reason; docs/conformance/h2spec.md has the results.

.ci/cluster pytest tests/http2/h2spec     runs every case once
make h2spec                               runs every case three times and writes the results
"""

import os
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

import pytest
import trio
from cluster.programs import H2SPEC, ROOT, built
from rig import TRANSPORT, Peer, Rig, backends, rule, running

RESULTS = ROOT / "docs/conformance/h2spec.md"
WRITES = bool(os.environ.get("H2SPEC_RESULTS"))
RUNS = 3 if WRITES else 1
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"  # fewer than 5 bytes: a case is skipped
TRANSPORTS = {"plain": "without TLS", "tls": "with TLS"}

# h2spec tests RFC 7540; by section and number of the case, why it does not pass.
EXCEPTIONS = {
    "http2/5.1.8": "RFC 9113 section 5.1: DATA after RST_STREAM MAY be an error; libnghttp2 ignores it",
    "http2/5.1.11": "RFC 9113 section 5.1: DATA for a closed stream MAY be an error; libnghttp2 ignores it",
    "http2/5.3.1.2": "RFC 9113 section 5.3.2 deprecates priorities, so what they contain is ignored",
}
PLAIN_EXCEPTIONS = {
    "http2/3.5.2": "without TLS, what is not the preface is a request of HTTP/1, and an invalid one gets a response",
}
EXPECTED = {"plain": EXCEPTIONS | PLAIN_EXCEPTIONS, "tls": EXCEPTIONS}


class Case(NamedTuple):
    section: str
    text: str
    passed: bool


Run = dict[str, Case]  # by "group/section.number"

finished: dict[str, list[Run]] = {}  # by transport


def read(report: Path) -> Run:
    run: Run = {}
    for suite in ET.parse(report).getroot().iter("testsuite"):
        for number, case in enumerate(suite.iter("testcase"), 1):
            passed = all(case.find(bad) is None for bad in ("failure", "error", "skipped"))
            run[f"{case.get('package')}.{number}"] = Case(suite.get("name", ""), case.get("classname", ""), passed)
    return run


async def report_of(program: Path, transport: str, port: int, report: Path, *cases: str) -> Run:
    """Of all cases, or of some."""
    words = [str(program / "h2spec"), "--strict", "--host", "127.0.0.1", "--port", str(port), "--timeout", "20"]
    words += ["--junit-report", str(report), *(["--tls", "--insecure"] if transport == "tls" else [])]
    words += ["/".join(case.rpartition(".")[::2]) for case in cases]
    await trio.run_process(words, check=False, capture_stdout=True)
    return read(report)


class Answering:
    """The backend. While it is `slow`, streams stay half-closed: some cases send a frame after the end of the request,
    and fail if the answer was complete before it arrived: then the stream is closed (RFC 9113 section 5.1)."""

    slow = False

    async def __call__(self, peer: Peer) -> None:
        while True:
            await peer.request()
            await trio.sleep(2 if self.slow else 0)
            await peer.send(ANSWER)


async def finished_run(program: Path, transport: str, rig: Rig, backend: Answering, report: Path) -> Run:
    """Cases that fail unexpectedly are repeated with the slow backend."""
    run = await report_of(program, transport, rig.port, report)
    unexpected = [name for name, case in run.items() if not case.passed and name not in EXPECTED[transport]]
    if unexpected:
        backend.slow = True
        again = await report_of(program, transport, rig.port, report, *unexpected)
        backend.slow = False
        run |= dict(zip(unexpected, again.values(), strict=True))
    return run


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_all_cases_pass(transport: str, tmp_path: Path) -> None:
    program = await trio.to_thread.run_sync(built, H2SPEC)
    token = TRANSPORT.set(transport)
    answering = Answering()
    async with backends(answering) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        runs = [await finished_run(program, transport, rig, answering, tmp_path / f"{i}.xml") for i in range(RUNS)]
    TRANSPORT.reset(token)
    finished[transport] = runs
    if WRITES and len(finished) == len(TRANSPORTS):
        text = RESULTS.read_text()
        RESULTS.write_text(text[: text.index("| section |")] + tables(finished))
    for run in runs:
        assert len(run) > 140
        assert {name for name, case in run.items() if not case.passed} == set(EXPECTED[transport])


def merged(runs: list[Run]) -> Run:
    """A case passed if it passed in every run."""
    return {
        name: case._replace(passed=all(name in run and run[name].passed for run in runs))
        for name, case in runs[0].items()
    }


def counts(run: Run) -> dict[str, str]:
    """By group and section: how many cases passed, of how many; and the sum."""
    passed: dict[str, list[bool]] = {}
    for name, case in run.items():
        passed.setdefault(f"{name.partition('/')[0]}: {case.section}", []).append(case.passed)
    passed["**all**"] = [one for section in passed.values() for one in section]
    return {section: f"{sum(ones)} of {len(ones)}" for section, ones in passed.items()}


def tables(by_transport: dict[str, list[Run]]) -> str:
    """The results of each section; then the cases that do not pass."""
    runs = {transport: merged(by_transport[transport]) for transport in TRANSPORTS}
    columns = [counts(run) for run in runs.values()]
    lines = [f"| section | {' | '.join(TRANSPORTS.values())} |", "|---|---|---|"]
    lines += [f"| {one} | {' | '.join(column.get(one, 'not run') for column in columns)} |" for one in columns[0]]
    lines += ["", "## Cases that do not pass", ""]
    lines += ["| case | h2spec: the client | does not pass | reason |", "|---|---|---|---|"]
    for name, case in runs["plain"].items():
        failing = [where for one, where in TRANSPORTS.items() if name not in runs[one] or not runs[one][name].passed]
        if failing:
            reason = (EXCEPTIONS | PLAIN_EXCEPTIONS).get(name, "**unexpected**")
            lines.append(f"| {name} | {case.text} | {' and '.join(failing)} | {reason} |")
    return "\n".join(lines) + "\n"


def test_the_results_are_those_that_are_expected() -> None:
    text = RESULTS.read_text()
    failed = [line.strip("| ").split(" | ") for line in text.partition("| reason |")[2].splitlines()[2:]]
    for transport, where in TRANSPORTS.items():
        assert {row[0]: row[3] for row in failed if where in row[2]} == EXPECTED[transport]
