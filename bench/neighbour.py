"""`python -m bench.neighbour [ATTACK...]`: how long an edit in one namespace takes while another one changes in bulk.

A route of namespace `victim` is edited again and again, and a client waits for the first response that shows the edit.
Meanwhile a process changes what belongs to namespace `bulk`. Reported are the median, the 90th percentile and the
maximum, in quiet and during each attack, and the limit for the 90th percentile: twice that of the quiet time + 50 ms.

    file     one file of 2,500 routes is rewritten again and again, with every route changed
    same     the same file is rewritten with the same content
    list     one file with a List of 2,500 routes is rewritten, with every route changed
    files    5,000 files with one route each are rewritten, one after the other, as fast as possible
    broken   one file of 2,500 invalid routes is rewritten, with every route changed
    twice    two files define the same 2,500 routes; one of them is rewritten
    expressions  a route with 80 regular expressions is edited 30 times a second, with every expression changed
    gateway  a Gateway with 2,500 routes is edited 10 times a second
    open     a process holds 5,000 files open and writes to them without pause
    close    10 files are opened, written and closed without pause
    touch    the times of 10 files are changed without pause
    litter   files that are no manifests are created and deleted without pause
    services  a file of 20,000 Services is replaced by a new one, again and again
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from bench.peers import Setup, backend_command, free_port, running
from bench.process import cores
from bench.served import Served, serving

ROUTES = 2_500
FILES = 5_000
SERVICES = 20_000
FEW = 10
EDITS = 60
GAP = 0.05  # seconds between two edits
PAUSE = 0.0005  # seconds between two requests
WARM_UP = 3.0  # seconds of an attack before the measurement
LONGEST = 20.0  # seconds of a measurement, and until an edit counts as not served

_GROUP = "gateway.networking.k8s.io/v1"
_WORLD = f"""\
apiVersion: {_GROUP}
kind: Gateway
metadata: {{{{namespace: NAME, name: edge}}}}
spec:
  gatewayClassName: fastroute
  listeners:
    - {{{{name: proxy, port: PORT, protocol: HTTP, hostname: {{host}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{{{namespace: NAME, name: backend}}}}
spec:
  ports: [{{{{name: http, port: 80}}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  namespace: NAME
  name: backend-1
  labels: {{{{kubernetes.io/service-name: backend}}}}
addressType: IPv4
endpoints: [{{{{addresses: [127.0.0.1]}}}}]
ports: [{{{{name: http, port: {{backend}}}}}}]
"""


_SERVICE = """\
apiVersion: v1
kind: Service
metadata: {{namespace: bulk, name: s{0}}}
spec:
  ports: [{{name: http, port: 80}}]
"""


def route(namespace: str, index: int, mark: int, more: str = "") -> str:
    return f"""\
apiVersion: {_GROUP}
kind: HTTPRoute
metadata: {{namespace: {namespace}, name: route-{index}}}
spec:
  parentRefs: [{{name: edge}}]
  rules:
    - matches: [{{path: {{type: PathPrefix, value: /{namespace}-{index}}}}}]
      filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier: {{set: [{{name: x-mark, value: "{mark}"}}]}}
      backendRefs: [{{name: backend, port: 80}}]
{more}"""


def world(namespace: str, port: int, backend: int, host: str = "example.com") -> str:
    return _WORLD.format(host=host, backend=backend).replace("NAME", namespace).replace("PORT", str(port))


def routes(mark: int, more: str = "") -> str:
    return "---\n".join(route("bulk", index, mark, more) for index in range(ROUTES))


def put(path: Path, text: str) -> None:
    """Writes a file as editors do."""
    new = path.with_name(".new")
    new.write_text(text)
    new.rename(path)


# --- attacks: `prepare` writes what exists before, `repeat` is run for ever in a process


def _file(folder: Path, mark: int) -> None:
    put(folder / "bulk.yaml", routes(mark))


def _same(folder: Path, mark: int) -> None:
    put(folder / "bulk.yaml", routes(0))


def _list(folder: Path, mark: int) -> None:
    items = "".join("  - " + route("bulk", index, mark).replace("\n", "\n    ").rstrip(" ") for index in range(ROUTES))
    put(folder / "bulk.yaml", f"apiVersion: v1\nkind: List\nitems:\n{items}")


def _files(folder: Path, mark: int) -> None:
    (folder / "bulk").mkdir(exist_ok=True)
    for index in range(FILES):
        put(folder / f"bulk/{index}.yaml", route("bulk", index, mark))


def _broken(folder: Path, mark: int) -> None:
    put(folder / "bulk.yaml", routes(mark, "  hostnames: [UPPER]\n"))


def _twice(folder: Path, mark: int) -> None:
    if mark == 0:
        put(folder / "also.yaml", routes(0))
    put(folder / "bulk.yaml", routes(mark))


def _expressions(folder: Path, mark: int) -> None:
    values = (f"/{number}x{mark}x[a-f]+(abc|de{mark})[0-9]+" for number in range(80))
    matches = [f"        - path: {{type: RegularExpression, value: '{value}'}}\n" for value in values]
    rules = ("    - matches:\n" + "".join(matches[first : first + 40]) for first in (0, 40))
    head = route("bulk", 0, mark).partition("  rules:")[0]
    put(folder / "bulk.yaml", head + "  rules:\n" + "".join(rules))
    time.sleep(1 / 30 if mark else 0.0)


def _gateway(folder: Path, mark: int) -> None:
    if mark == 0:
        put(folder / "bulk.yaml", routes(0))
    text = (folder / "gateway.yaml").read_text()
    put(folder / "gateway.yaml", text.replace(f"hostname: h{mark - 1}.", f"hostname: h{mark}."))
    time.sleep(0.1 if mark else 0.0)


def _one_route_each(folder: Path, count: int) -> list[Path]:
    (folder / "bulk").mkdir(exist_ok=True)
    paths = [folder / f"bulk/{index}.yaml" for index in range(count)]
    for index, path in enumerate(paths):
        path.write_text(route("bulk", index, 0))
    return paths


def _open(folder: Path, mark: int) -> None:
    if mark:
        if not _held:
            resource.setrlimit(resource.RLIMIT_NOFILE, (FILES + 100, FILES + 100))
            _held.extend(os.open(folder / f"bulk/{index}.yaml", os.O_WRONLY) for index in range(FILES))
        for descriptor in _held:
            os.pwrite(descriptor, b"#", 0)
    else:
        _one_route_each(folder, FILES)


def _close(folder: Path, mark: int) -> None:
    for path in _one_route_each(folder, FEW):
        path.write_text(path.read_text().replace('"0"', f'"{mark}"'))


def _touch(folder: Path, mark: int) -> None:
    paths = _one_route_each(folder, 0 if mark else FEW) or [folder / f"bulk/{index}.yaml" for index in range(FEW)]
    for path in paths:
        os.utime(path)


def _litter(folder: Path, mark: int) -> None:
    path = folder / f"{mark % FILES}.log"
    path.write_text("")
    path.unlink()


def _services(folder: Path, mark: int) -> None:
    if mark:
        put(folder / f"services-{mark}.yaml", "---\n".join(map(_SERVICE.format, range(SERVICES))))
        (folder / f"services-{mark - 1}.yaml").unlink(missing_ok=True)
        time.sleep(10.0)


_held: list[int] = []  # descriptors

ATTACKS = {
    "file": _file,
    "same": _same,
    "list": _list,
    "files": _files,
    "broken": _broken,
    "twice": _twice,
    "expressions": _expressions,
    "gateway": _gateway,
    "open": _open,
    "close": _close,
    "touch": _touch,
    "litter": _litter,
    "services": _services,
}


@contextmanager
def attacking(name: str, folder: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "bench.neighbour", "--repeat", name, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def measure(attack: str) -> tuple[list[float], list[float]]:
    """Seconds from each edit to the first response that shows it: in quiet, with the same objects, and in an attack."""
    with tempfile.TemporaryDirectory(prefix="fastroute-bench-") as root:
        setup = Setup(free_port(), 0, 0, Path(root) / "backend")
        setup.folder.mkdir()
        folder = Path(root) / "manifests"
        folder.mkdir()
        (folder / "world.yaml").write_text(world("victim", 80, setup.port))
        (folder / "victim.yaml").write_text(route("victim", 0, -1))
        (folder / "gateway.yaml").write_text(world("bulk", 81, setup.port, "h-1.example.com"))
        ATTACKS[attack](folder, 0)
        answering = running("backend", backend_command(setup), setup.port, cores()[-1])
        with answering, serving(folder) as served:
            quiet = edit_often(served, folder, 0)
            with attacking(attack, folder):
                time.sleep(WARM_UP)
                return quiet, edit_often(served, folder, EDITS)


def edit_often(served: Served, folder: Path, first: int) -> list[float]:
    asking = HTTPConnection("127.0.0.1", served.port, timeout=30)
    seen = []
    end = time.monotonic() + LONGEST
    for mark in range(first, first + EDITS):
        seen.append(edit(asking, folder, mark))
        time.sleep(GAP)
        if time.monotonic() > end:
            break
    asking.close()
    return seen


def edit(asking: HTTPConnection, folder: Path, mark: int) -> float:
    text = route("victim", 0, mark)
    (folder / ".victim").write_text(text)
    begin = time.perf_counter()
    (folder / ".victim").rename(folder / "victim.yaml")
    while time.perf_counter() - begin < LONGEST:
        asking.request("GET", "/victim-0", headers={"Host": "example.com"})
        answer = asking.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"a request was answered with {answer.status}")
        if answer.headers.get("x-mark") == str(mark):
            return time.perf_counter() - begin
        time.sleep(PAUSE)
    return LONGEST


def quantile(seconds: list[float], share: float) -> float:
    ordered = sorted(seconds)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1e3


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m bench.neighbour", description=__doc__)
    words.add_argument("attacks", nargs="*", choices=[[], *ATTACKS], help="all of them when none is named")
    words.add_argument("--repeat", nargs=2, metavar=("ATTACK", "FOLDER"), help=argparse.SUPPRESS)
    chosen = words.parse_args()
    if chosen.repeat:
        os.nice(10)  # otherwise the attack would take the CPU time of the gateway
        mark = 1
        while True:
            ATTACKS[chosen.repeat[0]](Path(chosen.repeat[1]), mark)
            mark += 1
    for name in chosen.attacks or list(ATTACKS):
        quiet, attacked = measure(name)
        limit = 2 * quantile(quiet, 0.9) + 50
        words = [f"{name:8}", f"limit {limit:.1f} ms"]
        for state, seconds in (("quiet", quiet), ("attack", attacked)):
            p50, p90, most = (quantile(seconds, share) for share in (0.5, 0.9, 1.0))
            words.append(f"{state} ({len(seconds)}): p50 {p50:.1f}, p90 {p90:.1f}, max {most:.1f} ms")
        print("; ".join(words), "" if quantile(attacked, 0.9) <= limit else "TOO LATE", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
