"""h2spec, strict: every case passes, except those listed with a reason.

.ci/cluster pytest tests/http2/h2spec
"""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import trio
from cluster.programs import H2SPEC, built
from rig import TRANSPORT, answering, backends, rule, running

# h2spec tests RFC 7540; by section and text of the case, why it does not pass.
EXCEPTIONS = {
    "http2/5.1.8": "DATA after RST_STREAM: RFC 9113 section 5.1 says that it MAY be an error; libnghttp2 ignores it",
    "http2/5.1.11": "DATA for a closed stream: as above",
    "http2/5.3.1.2": "a stream that depends on itself: RFC 9113 section 5.3.2 deprecates priorities; they are ignored",
}
PLAIN_EXCEPTIONS = {
    "http2/3.5.2": "an invalid preface without TLS is an invalid HTTP/1 request, which gets a response",
}


def failures(report: Path) -> tuple[set[str], int]:
    """The failed cases, as "group/section.number", and the number of all cases."""
    failed: set[str] = set()
    count = 0
    for suite in ET.parse(report).getroot().iter("testsuite"):
        for number, case in enumerate(suite.iter("testcase"), 1):
            count += 1
            if case.find("failure") is not None or case.find("error") is not None:
                failed.add(f"{case.get('package')}.{number}")
    return failed, count


@pytest.mark.parametrize("transport", ["plain", "tls"])
async def test_all_cases_pass(transport: str, tmp_path: Path) -> None:
    program = await trio.to_thread.run_sync(built, H2SPEC)
    token = TRANSPORT.set(transport)
    report = tmp_path / "report.xml"
    words = [
        str(program / "h2spec"),
        "--strict",
        "--host",
        "127.0.0.1",
        "--timeout",
        "4",
        "--junit-report",
        str(report),
    ]
    async with backends(answering) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        words += ["--port", str(rig.port)] + (["--tls", "--insecure"] if transport == "tls" else [])
        await trio.run_process(words, check=False, capture_stdout=True)
    TRANSPORT.reset(token)
    failed, count = failures(report)
    assert count > 140
    assert failed == set(EXCEPTIONS if transport == "tls" else EXCEPTIONS | PLAIN_EXCEPTIONS)
