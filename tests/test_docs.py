"""What the documents list is what there is: every metric, every field of the access log, every reason."""

import re
from pathlib import Path

from fastroute import metrics
from fastroute.compiler.retry import BACKOFF
from fastroute.ext.counters import MIRROR_REASONS
from fastroute.ext.mirroring import MIRROR_BEHIND, MIRRORS_AT_ONCE, MIRRORS_BEHIND
from fastroute.ext.reason import REASONS
from fastroute.ext.retry import KEPT as KEPT_MOST
from fastroute.graph import tls
from fastroute.graph.certificate import LEAST_RSA
from fastroute.metrics import Family, Metrics
from fastroute.source.kubernetes import event, lease, room, statuswriter
from fastroute.supervisor.tally import RETRY_REASONS

NAMED = re.compile(r"\b(?:BackendTLS|Gateway|HTTPRoute)\w+")
TEXT = (Path(__file__).parent.parent / "docs" / "behaviour.md").read_text()


def test_every_metric_is_listed():
    counted_by_workers = {family.name for family in vars(metrics).values() if isinstance(family, Family)}
    counted_by_main = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in Metrics().registry.collect()
        if family.name.startswith("fastroute_")
    }
    assert {name for name in counted_by_workers | counted_by_main if f"`{name}`" not in TEXT} == set()


def test_every_reason_of_our_own_is_listed():
    ours = [name for name in REASONS[1:64] if name]
    assert len(ours) > 15
    assert [name for name in ours if f"`{name}`" not in TEXT] == []


def test_every_reason_of_a_retry_is_listed() -> None:
    [line] = [line for line in TEXT.splitlines() if f"`{metrics.RETRIES.name}`" in line]
    assert [reason for reason in RETRY_REASONS if f"`{reason}`" not in line] == []


def test_the_bounds_of_retries_are_those_of_the_code() -> None:
    assert f"({BACKOFF} ms if it is left out)" in TEXT
    assert f"kept up to {KEPT_MOST // 1024} KiB" in TEXT


def test_mirrors_are_bounded_and_counted_as_listed() -> None:
    assert [reason for reason in MIRROR_REASONS if f"`{reason}`" not in TEXT] == []
    assert f"One that is {MIRROR_BEHIND >> 20} MiB behind" in TEXT
    assert f"when {MIRRORS_BEHIND >> 20} MiB wait" in TEXT
    assert f"At most {MIRRORS_AT_ONCE} are on their way" in " ".join(TEXT.split())


def test_the_pace_of_writing_is_as_it_says():
    said = TEXT.partition("### What it writes")[2].partition("\n## ")[0]
    numbers = (
        f"renews every {lease.RENEW:g} s",
        f"did\nnot change for {lease.DURATION} s",
        f"{lease.DURATION + 3 * lease.RETRY:g} s at most",
        f"not renew for {lease.DEADLINE:g} s",
        f"more than {room.MOST['parents']} parents",
        f"at most {1 / statuswriter.BETWEEN:g} a second; {statuswriter.RATE:g} a second in all "
        f"({statuswriter.BURST:g} at once), on {statuswriter.WRITERS} connections",
        f"up to {statuswriter.LONGEST_PAUSE:g} s",
        f"At most {event.OBJECT_BURST:g} at once of one object",
        f"one in {1 / event.OBJECT_RATE:g} s; {event.RATE:g} a second in all",
        f"within {event.WINDOW / 60:g} minutes",
    )
    assert [number for number in numbers if " ".join(number.split()) not in " ".join(said.split())] == []


def test_the_options_of_tls_are_those_of_the_code() -> None:
    assert [name for name in tls.OPTIONS if f"`{tls.PREFIX}{name}`" not in TEXT] == []
    assert f"(`{'`, `'.join(tls.VERSIONS)}`)" in TEXT
    assert f"RSA from {LEAST_RSA} bits" in TEXT


def test_every_tls_option_and_cipher_is_listed():
    text = (Path(__file__).parent.parent / "docs" / "tls.md").read_text()
    assert [name for name in tls.CIPHERS if f"`{name}`" not in text] == []
    assert [name for name in tls.OPTIONS if f"`{tls.PREFIX}{name}`" not in text] == []


def test_each_conformance_test_that_was_not_run_is_named():
    """Run and named are all there are: 58 beyond core in v1.6.3, 64 in v1.7.0."""
    place = Path(__file__).parent.parent / "docs" / "conformance"
    rows = [line.split("|")[3] for line in (place / "README.md").read_text().splitlines() if line.count("|") == 4]
    assert rows[:2] == [" tests not run ", "---"]
    named = len(NAMED.findall(" ".join(rows[2:])))
    new = sum(len(NAMED.findall(row.partition("v1.7.0 also")[2])) for row in rows[2:])
    assert passed(place / "v1.6.3-gateway-http.yaml") + named - new == 58
    assert passed(place / "v1.7.0-gateway-http.yaml") + named == 64


def passed(report: Path) -> int:
    """How many tests beyond core."""
    return int(report.read_text().partition("extended:")[2].partition("Passed: ")[2].split()[0])
