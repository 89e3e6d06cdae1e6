"""The documents list what exists: every metric, access log field, reason and limit."""

import re
from pathlib import Path

import yaml

from fastroute import metrics, reconcile
from fastroute.apiserver import objects
from fastroute.compiler.retry import BACKOFF
from fastroute.ext.exchange.mirroring import MIRROR_BEHIND, MIRRORS_AT_ONCE, MIRRORS_BEHIND
from fastroute.ext.message.reason import REASONS
from fastroute.ext.reactor.counters import MIRROR_REASONS
from fastroute.ext.routing.budget import BUDGET_FLOOR, BUDGET_SHARE, BUDGET_WINDOW
from fastroute.ext.routing.retry import KEPT as KEPT_MOST
from fastroute.graph import listenerset, tls
from fastroute.graph.certificate import LEAST_RSA, MOST_RSA
from fastroute.graph.httproute import MOST_ATTEMPTS, MOST_STATES_OF_A_ROUTE, MOST_STEPS_OF_A_ROUTE
from fastroute.graph.pattern import MOST_STEPS
from fastroute.metrics import Family, Metrics
from fastroute.reporting import problemlog, statuslog
from fastroute.source import debts, directory, pending, walk
from fastroute.source.kubernetes import looks, named, quota, watch
from fastroute.supervisor.tally import RETRY_REASONS
from fastroute.writing import event, lease, room, statuswriter

NAMED = re.compile(r"\b(?:BackendTLS|Gateway|HTTPRoute)\w+")
DOCS = Path(__file__).parent.parent / "docs"
LINK = re.compile(r"\]\(([^)#:\s]*)(?:#([^)]*))?\)")


def page(name: str) -> str:
    """The text of docs/reference/NAME.md, with the line breaks of its paragraphs removed."""
    return re.sub(r"\n(?![\n|#])\s*", " ", (DOCS / "reference" / f"{name}.md").read_text())


def anchors(path: Path) -> set[str]:
    """The anchors that a renderer gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = []
    pages = [*DOCS.rglob("*.md"), *DOCS.parent.glob("*.md"), DOCS.parent / "bench" / "README.md"]
    for path in pages:
        for target, anchor in LINK.findall(path.read_text()):
            goal = (path.parent / target) if target else path
            if not goal.exists() or (anchor and anchor not in anchors(goal)):
                broken.append(f"{path.relative_to(DOCS.parent)}: {target}#{anchor}")
    assert broken == []


def test_the_contents_of_the_reference_list_every_page() -> None:
    contents = (DOCS / "reference" / "README.md").read_text()
    pages = [path.name for path in (DOCS / "reference").glob("*.md") if path.name != "README.md"]
    assert [name for name in pages if f"]({name})" not in contents] == []


def test_every_metric_is_listed() -> None:
    counted_by_workers = {family.name for family in vars(metrics).values() if isinstance(family, Family)}
    counted_by_main = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in Metrics().registry.collect()
        if family.name.startswith("fastroute_")
    }
    text = page("metrics")
    assert {name for name in counted_by_workers | counted_by_main if f"`{name}`" not in text} == set()


def test_every_reason_of_our_own_is_listed() -> None:
    ours = [name for name in REASONS[1:64] if name]
    assert len(ours) > 15
    text = page("access-log")
    assert [name for name in ours if f"`{name}`" not in text] == []


def test_every_reason_of_a_retry_is_listed() -> None:
    [line] = [line for line in page("metrics").splitlines() if f"`{metrics.RETRIES.name}`" in line]
    assert [reason for reason in RETRY_REASONS if f"`{reason}`" not in line] == []


def test_the_bounds_of_retries_are_those_of_the_code() -> None:
    text = page("retries")
    assert f"(default: {BACKOFF} ms)" in text
    assert f"buffered up to {KEPT_MOST // 1024} KiB" in text
    assert f"more than {MOST_ATTEMPTS} attempts is not accepted" in text
    assert f"retries of the last {BUDGET_WINDOW} s may be {BUDGET_SHARE} %" in text
    assert f"at least {BUDGET_FLOOR} a second, which is {BUDGET_FLOOR * BUDGET_WINDOW} in" in text
    limits = page("limits")
    assert f"| `retry.attempts` of a rule | {MOST_ATTEMPTS} | fixed |" in limits
    share = f"{BUDGET_SHARE} % of its requests in the last {BUDGET_WINDOW} s; at least {BUDGET_FLOOR} a second"
    assert f"| {share} | fixed |" in limits


def test_the_bounds_of_expressions_are_those_of_the_code() -> None:
    limits = page("limits")
    for most in (MOST_STATES_OF_A_ROUTE, MOST_STEPS, MOST_STEPS_OF_A_ROUTE):
        assert f" | {most:,} | fixed | `Accepted=False/UnsupportedValue` |" in limits
    assert (
        f"limited to {MOST_STEPS:,} steps, and to {MOST_STEPS_OF_A_ROUTE:,} steps for all expressions of a route"
        in page("routing")
    )


def test_mirrors_are_bounded_and_counted_as_listed() -> None:
    text = page("filters").partition("## Mirrors")[2]
    assert [reason for reason in MIRROR_REASONS if f"`{reason}`" not in text] == []
    assert f"one copy is {MIRROR_BEHIND >> 20} MiB behind" in text
    assert f"all copies of a worker hold {MIRRORS_BEHIND >> 20} MiB" in text
    assert f"{MIRRORS_AT_ONCE} copies are in flight" in text


def test_the_pace_of_writing_is_as_it_says() -> None:
    said = page("kubernetes").partition("## What is written")[2]
    numbers = (
        f"renews the Lease every {lease.RENEW:g} s",
        f"has not changed for {lease.DURATION} s",
        f"after {lease.DURATION + 3 * lease.RETRY:g} s at most",
        f"not renew the Lease for {lease.DEADLINE:g} s",
        f"more than {room.MOST['parents']} parents",
        f"at most {1 / statuswriter.BETWEEN:g} a second. In total at most {statuswriter.RATE:g} a second "
        f"(a burst of {statuswriter.BURST:g}), on {statuswriter.WRITERS} connections",
        f"after up to {statuswriter.LONGEST_PAUSE:g} s",
        f"a burst of at most {event.OBJECT_BURST:g} Events",
        f"one every {1 / event.OBJECT_RATE:g} s. In total at most {event.RATE:g} a second are written",
        f"burst of {event.BURST:g}. The namespaces take turns",
        f"At most {event.MOST_WAITING} Events wait",
        f"within {event.WINDOW / 60:g} minutes",
    )
    assert [number for number in numbers if number not in said] == []


def test_the_shares_of_namespaces_are_as_they_say() -> None:
    read = " ".join(page("kubernetes").partition("## What is written")[0].split())
    assert f"At most {named.MOST} Secrets are watched in this way" in read
    assert (
        f"at most every {looks.PAUSE:g} s, in total at most {looks.RATE:g} a second (at first {looks.BURST:g})" in read
    )
    text = page("limits")
    rows = (
        f"| about {pending.WHOLE} routes | fixed | they follow in portions of about {reconcile.PORTION} routes;",
        f"| {debts.EXPENSIVE * 1e3:g} ms | fixed | the change is served; later changes of the same sort in its "
        f"namespace wait {debts.FACTOR:g} times as long as this change took in wall time, at most {debts.LONGEST:g} s.",
        f"its namespace does not wait, up to {debts.FREE * 1e3:g} ms |",
        f"for one Gateway | {listenerset.MOST_LISTENERS:,} (64 ListenerSets with 64 listeners) | fixed |",
        f"about {watch.AHEAD:,}, and about {watch.AHEAD_SIZE >> 20} MiB | fixed |",
        f"with the entries of other controllers | {quota.STATUSES >> 20} MiB | fixed |",
        f"for `--address service/…` | {objects.MOST_POINTS} | fixed |",
        f"| {directory.LARGE >> 10} KiB, {directory.AT_ONCE * 1e3:g} ms | fixed | it is read in slices",
        f"links with the name of a manifest | {walk.FILES:,} | fixed |",
        f"links to folders | {walk.FOLDERS:,} | fixed |",
        f"levels of folders below a given path | {walk.DEPTH} | fixed |",
        f"| {problemlog.AT_MOST} | fixed | a line says how many more there are",
        f"| {named.MOST} | fixed | they are read in turn, each at most every {looks.PAUSE:g} s",
        f"| {looks.RATE:g} a second | fixed |",
        f"| {statuswriter.RATE:g} a second | fixed |",
        f"| {event.RATE:g} a second | fixed |",
        f"| {event.MOST_WAITING} | fixed |",
        f"| {event.OBJECT_BURST:g} at once, {event.OBJECT_RATE * 60:g} a minute | fixed |",
    )
    assert problemlog.AT_MOST == statuslog.AT_MOST
    assert [row for row in rows if row not in text] == []


def test_every_tls_option_and_cipher_is_listed() -> None:
    text = page("listeners")
    assert [name for name in tls.OPTIONS if f"`{tls.PREFIX}{name}`" not in text] == []
    assert [name for name in tls.CIPHERS if f"`{name}`" not in text] == []
    assert f"`{'`, `'.join(tls.VERSIONS)}`" in text
    assert f"RSA of {LEAST_RSA} to {MOST_RSA} bits" in text


def test_each_conformance_test_that_was_not_run_is_named() -> None:
    """The tests that passed and the tests that are named add up to all extended tests: 58 in v1.6.3, 64 in v1.7.0."""
    folder = DOCS / "conformance"
    lines = (folder / "README.md").read_text().splitlines()
    rows = [line.split("|")[3] for line in lines if line.count("|") == 4]
    assert rows[:2] == [" tests not run ", "---"]
    named = len(NAMED.findall(" ".join(rows[2:])))
    new = sum(len(NAMED.findall(row.partition("v1.7.0 also")[2])) for row in rows[2:])
    assert passed(folder / "v1.6.3-all.yaml") + named - new == 58
    assert passed(folder / "v1.7.0-all.yaml") + named == 64


def passed(report: Path) -> int:
    """The number of extended tests of GATEWAY-HTTP that passed."""
    [profile] = [each for each in yaml.safe_load(report.read_text())["profiles"] if each["name"] == "GATEWAY-HTTP"]
    return int(profile["extended"]["statistics"]["Passed"])
