"""Condenses a log of the suite into a few lines: what failed, and why."""

from conformance.summary import outcomes, text

LOG = """\
=== RUN   TestConformance
=== RUN   TestConformance/HTTPRouteWeight
    apply.go:276: 2026-01-01T00:00:01.000Z: Creating httproute-weight HTTPRoute
=== RUN   TestConformance/HTTPRouteWeight/Requests_should_have_a_distribution
    weight.go:10: 2026-01-01T00:00:02.000Z: Sending 500 requests
    weight.go:88:
        Error Trace: /go/weight.go:88
        Error: expected 0.7, got 0.5
=== RUN   TestConformance/HTTPRouteSimpleSameNamespace
=== NAME  TestConformance/HTTPRouteWeight
    suite.go:1: unexpected error: nothing
=== RUN   TestConformance/HTTPRouteCORS
    suite.go:398: Skipping HTTPRouteCORS: suite does not support HTTPRouteCORS
--- FAIL: TestConformance (9.00s)
    --- FAIL: TestConformance/HTTPRouteWeight (3.21s)
        --- FAIL: TestConformance/HTTPRouteWeight/Requests_should_have_a_distribution (1.00s)
    --- PASS: TestConformance/HTTPRouteSimpleSameNamespace (0.11s)
    --- SKIP: TestConformance/HTTPRouteCORS (0.00s)
FAIL
"""


def test_each_test_has_its_result_and_its_reasons() -> None:
    weight, simple, cors = outcomes(LOG.splitlines())
    assert (simple.name, simple.result, simple.lines) == ("HTTPRouteSimpleSameNamespace", "PASS", ())
    assert (cors.name, cors.result) == ("HTTPRouteCORS", "SKIP")
    assert (weight.result, weight.seconds) == ("FAIL", 3.21)
    assert weight.lines == (
        "[test]",
        "unexpected error: nothing",
        "[Requests_should_have_a_distribution]",
        "Error: expected 0.7, got 0.5",
    )


def test_the_page_ends_with_the_counts() -> None:
    assert text(outcomes(LOG.splitlines())).splitlines()[-1] == "passed 1, failed 1, skipped 1"
