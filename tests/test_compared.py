"""docs/compared.md has the figures of bench/README.md and of our conformance reports."""

import re
from pathlib import Path

import pytest
import yaml

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "compared.md").read_text()
BENCH = (DOCS.parent / "bench" / "README.md").read_text()
ROWS = {  # of the page: what it is called in bench/README.md
    "request on a kept-alive connection": "keep-alive",
    "the same with 5,000 routes": "5000 routes",
    "request on a new connection": "new connection",
    "1 GiB of answers of 1 MiB": "1 MiB answers",
}


def row(name: str) -> list[str]:
    """The cells of a row of a table of the page, behind the first."""
    [line] = [line for line in PAGE.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.split("|")[2:-1]]


@pytest.mark.parametrize("name", ROWS)
def test_costs_are_those_that_were_measured(name: str) -> None:
    for proxy, cell in zip(("fastroute", "nginx", "envoy"), row(name), strict=True):
        assert re.search(rf"^{ROWS[name]} +{proxy} +{re.escape(cell.split()[0])} ", BENCH, re.MULTILINE)


@pytest.mark.parametrize("kind", ["full", "resumed"])
def test_handshakes_are_those_that_were_measured(kind: str) -> None:
    ours, nginx, envoy = row(f"{kind} TLS handshake with a request")
    assert re.search(rf"^{kind} handshake +{ours.split()[0]} +{nginx.split()[0]} ", BENCH, re.MULTILINE)
    assert envoy == "not measured"


def test_tests_that_passed_are_those_of_our_report() -> None:
    profiles = yaml.safe_load((DOCS / "conformance" / "v1.6.3-all.yaml").read_text())["profiles"]
    assert len(profiles) == 5
    for profile in profiles:
        core, extended = (profile[part]["statistics"]["Passed"] for part in ("core", "extended"))
        assert row(profile["name"])[0] == f"{core} + {extended}"
        assert "unsupportedFeatures" not in profile["extended"]


def test_features_that_are_missing_are_those_of_our_report() -> None:
    profiles = yaml.safe_load((DOCS / "conformance" / "v1.7.0-all.yaml").read_text())["profiles"]
    missing = {name for profile in profiles for name in profile["extended"].get("unsupportedFeatures", ())}
    [said] = re.findall(r"With v1\.7\.0: ([^.]*)\.", " ".join(PAGE.split()))
    assert set(re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", said)) == missing
