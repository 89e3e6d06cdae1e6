"""`python -m bench.page`: what an open dashboard costs, with 5,000 routes and Chromium.

Printed are: the time from the navigation of a new tab until the first route is in the document; the CPU time of the
main process per second, without and with an open page that shows the routes; and the latency of another client that
sends 300 requests a second at fixed times (pace.c) meanwhile. Spells without and with the page alternate; the figures
are medians over the spells, and the ratio of p99 is the median over the rounds. The worker, its backend and the client
have priority over all other processes (SCHED_FIFO, as root): the browser is on this machine, and it is not measured.
The browser and the main process have the nice value -20.

The limits: first paint at most 1 s, at most 0.1 s of CPU time per second for the page.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from bench.load import Latency, open_loop
from bench.manifests import write_manifests
from bench.peers import Running, Setup, backend_command, free_port, running
from bench.process import cpu_seconds, proxy_and_load_core, set_urgent, tree
from bench.served import Served, serving
from fastroute.text import Table, write_page

HERE = Path(__file__).parent
SPELL = 10.0  # seconds
RATE = 300
CLIENT = 16  # connections
MOST_PAINT, MOST_CPU = 1.0, 0.1
FIRST = """
new MutationObserver((_, watching) => {
  if (document.querySelector(".row.route")) { watching.disconnect(); requestAnimationFrame(() => {
    window.painted = performance.now();
  }); }
}).observe(document, {childList: true, subtree: true});
"""


class Spell(msgspec.Struct, frozen=True):
    latency: Latency
    cpu: float  # seconds of the main process per second


def spell(served: Served, core: int) -> Spell:
    begin, before = time.monotonic(), cpu_seconds([served.process.pid])
    proxy = Running("fastroute", served.port, served.process)
    found = open_loop(proxy, "/route-0/x", core, seconds=SPELL, rate=RATE, connections=CLIENT, urgent=True)
    return Spell(found, (cpu_seconds([served.process.pid]) - before) / (time.monotonic() - begin))


def hasten(pid: int) -> None:
    """Gives a process, and those that it starts, more of a busy machine."""
    for task in os.listdir(f"/proc/{pid}/task"):
        os.setpriority(os.PRIO_PROCESS, int(task), -20)


def painted(opens: Callable[[], Any]) -> float:
    """Seconds."""
    page = opens()
    page.ask("Page.addScriptToEvaluateOnNewDocument", source=FIRST)
    page.open(URL[0])
    found = page.wait("window.painted")
    page.close()
    return float(found) / 1e3


URL: list[str] = []


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m bench.page", description=__doc__)
    words.formatter_class = argparse.RawDescriptionHelpFormatter
    words.add_argument("--routes", type=int, default=5_000)
    words.add_argument("--rounds", type=int, default=5)
    chosen = words.parse_args()
    sys.path.insert(0, str(HERE.parent / "tests"))
    from dashboard.browser import Browser, Page  # type: ignore[import-not-found]  # from tests/

    _, load_core = proxy_and_load_core()
    admin = free_port()
    os.environ["FASTROUTE_ADMIN"] = f"127.0.0.1:{admin}"
    URL.append(f"http://127.0.0.1:{admin}/")
    with tempfile.TemporaryDirectory(prefix="fastroute-bench-") as name:
        folder = Path(name)
        backend = Setup(free_port(), 0, 0, folder / "backend")
        backend.folder.mkdir()
        write_manifests(folder / "manifests", chosen.routes, backend.port)
        with (
            running("backend", backend_command(backend), backend.port, load_core) as nginx,
            serving(folder / "manifests") as served,
        ):
            for pid in (served.worker, *tree(nginx.process.pid)):
                set_urgent(pid, True)
            browser = Browser(folder / "chromium")
            try:
                return measured(served, load_core, chosen.rounds, lambda: Page(browser))
            finally:
                browser.close()


def measured(served: Served, core: int, rounds: int, opens: Callable[[], Any]) -> int:
    for pid in (served.process.pid, *tree(os.getpid())):
        hasten(pid)
    paints = [painted(opens) for _ in range(rounds + 1)][1:]  # the first one starts parts of the browser
    without, along = [], []
    for _ in range(rounds):
        without.append(spell(served, core))
        page = opens()
        page.open(URL[0])
        page.wait("document.querySelector('.row.route') !== null")
        along.append(spell(served, core))
        page.close()
    cost = median(one.cpu for one in along) - median(one.cpu for one in without)
    rows = [
        ("first route, s", f"{min(paints):.2f}, {median(paints):.2f}, {max(paints):.2f}"),
        ("CPU of main without, ms/s", f"{median(one.cpu for one in without) * 1e3:.0f}"),
        ("CPU of main with, ms/s", f"{median(one.cpu for one in along) * 1e3:.0f}"),
        ("p50, p99 without, ms", _latency(without)),
        ("p50, p99 with, ms", _latency(along)),
        ("ratio of p99", f"{median(b.latency.p99 / a.latency.p99 for a, b in zip(without, along, strict=True)):.2f}"),
        ("failed requests", str(sum(one.latency.failures for one in (*without, *along)))),
    ]
    write_page([Table(("FIGURE", "VALUE"), tuple(rows))])
    return 0 if median(paints) <= MOST_PAINT and cost <= MOST_CPU else 1


def _latency(spells: list[Spell]) -> str:
    return f"{median(one.latency.p50 for one in spells):.2f}, {median(one.latency.p99 for one in spells):.2f}"


if __name__ == "__main__":
    sys.exit(main())
