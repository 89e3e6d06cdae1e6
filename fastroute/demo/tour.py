"""The guided tour: a Gateway splits traffic 70/30 between two teams' Services; without a grant, one share answers 500.

Everything is real: echo backends, a `fastroute serve` process for a copy of examples/cross-namespace, requests over
sockets, and the table that `fastroute check` prints. All requests use one kept-alive connection, and therefore one
worker, whose weighted choice is exact over any 10 requests. So every number must be exact, and is checked.
"""

import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import trio

from fastroute.check import Report, check
from fastroute.demo.client import Client
from fastroute.demo.echo import serve_echo
from fastroute.demo.gateway import Gateway, running_gateway
from fastroute.demo.pods import Pod, copy_manifests, pods
from fastroute.pages import check_page
from fastroute.settings import GraphSettings
from fastroute.source.directory import Directory
from fastroute.text import Block, Line, Table, write_page

EXAMPLE = Path(__file__).parent / "examples" / "cross-namespace"
GRANT = "grants/bananas.yaml"  # the grant that is removed and restored
REQUESTS = 100
BANANAS, APPLES, REFUSED = "bananas/banana-echo", "apples/apple-echo", "500"

_TURNS_WITHIN = 5.0  # seconds from the change of a file to the first answer that shows it


class Act(msgspec.Struct, frozen=True):
    """One step: its title, and the expected number of answers by source."""

    title: str
    expected: dict[str, int]


WHOLE = Act("Both teams have granted it: /fruits is split 70/30", {BANANAS: 70, APPLES: 30})
BROKEN = Act(
    "Without the grant of the bananas team, its share, and only its share, is refused", {REFUSED: 70, APPLES: 30}
)
MENDED = Act("The grant is back", {BANANAS: 70, APPLES: 30})


def tour(*, once: bool) -> int:
    """Runs the tour; without `once`, keeps running until Ctrl-C. Returns the exit code: 0 only if all numbers were
    right."""
    with tempfile.TemporaryDirectory(prefix="fastroute-demo-") as folder:
        manifests = Path(folder)
        copy_manifests(EXAMPLE, manifests)
        with running_gateway(manifests, "--log-level", "error") as gateway:
            return trio.run(_tour, gateway, manifests, once)


async def _tour(gateway: Gateway, manifests: Path, once: bool) -> int:
    right = False
    async with trio.open_nursery() as nursery:
        await nursery.start(_wait_interrupt, nursery.cancel_scope)
        standing = _pods(manifests)
        await nursery.start(serve_echo, standing)
        write_page(_cast(gateway, standing))
        async with gateway.client() as client:
            right = await _acts(client, manifests)
        write_page([Line("All numbers are as expected." if right else "Some numbers are not as expected.", "bold")])
        if not once:
            write_page(_to_try(gateway, manifests))
            await trio.sleep_forever()
        nursery.cancel_scope.cancel()
    return 0 if right else 1


async def _wait_interrupt(
    work: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Cancels `work` on Ctrl-C, so that everything is cleaned up."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            work.cancel()


def _cast(gateway: Gateway, standing: tuple[Pod, ...]) -> Iterator[Block]:
    """Lists the pods and the Gateway."""
    yield Line("Real echo backends act as the pods of two teams behind one Gateway:")
    for pod in standing:
        yield Line(f"  {pod.namespace}/{pod.service}: {pod.name} at {pod.address}:{pod.port}")
    yield Line(f"  Gateway infra/edge at http://{gateway.address}:{gateway.port()}")
    yield Line("")


def _pods(manifests: Path) -> tuple[Pod, ...]:
    return pods(_read(manifests).store.snapshot().endpoint_slices.values())


def _read(manifests: Path) -> Directory:
    source = Directory([manifests])
    source.load()
    return source


async def _acts(client: Client, manifests: Path) -> bool:
    grant = manifests / GRANT
    text = grant.read_text()
    right = await show_act(WHOLE, client)

    grant.unlink()
    took = await _wait_for(REFUSED, client)
    right &= await show_act(BROKEN, client, f"The first refusal came {took * 1000:.0f} ms after the grant was removed.")
    report = _report(manifests)
    write_page(
        [Line("Output of `fastroute check`:", "bold"), *check_page(msgspec.structs.replace(report, assumed=None))]
    )
    right &= [problem.reason for problem in report.problems] == ["RefNotPermitted"]

    grant.write_text(text)
    took = await _wait_for(BANANAS, client)
    right &= await show_act(MENDED, client, f"The first banana came {took * 1000:.0f} ms after the grant was written.")
    return right


async def _wait_for(source: str, client: Client) -> float:
    """Sends requests until an answer comes from `source`; returns the seconds that took."""
    begin = trio.current_time()
    while (await client.ask("/fruits")).source != source:
        if trio.current_time() - begin > _TURNS_WITHIN:
            break
    return trio.current_time() - begin


async def show_act(act: Act, client: Client, remark: str | None = None) -> bool:
    """Sends requests and prints the answers by source with the expected numbers; True if they are equal."""
    counted = Counter([(await client.ask("/fruits")).source for _ in range(REQUESTS)])
    rows = sorted({*counted, *act.expected}, reverse=True)
    table = Table(
        ("ANSWERED BY", "REQUESTS", "EXPECTED"),
        tuple((name, str(counted[name]), str(act.expected.get(name, 0))) for name in rows),
        tuple("red" if counted[name] != act.expected.get(name, 0) else "" for name in rows),
    )
    write_page([Line(act.title, "bold"), *([Line(remark)] if remark else []), table, Line("")])
    return counted == act.expected


def _report(manifests: Path) -> Report:
    store = _read(manifests).store
    return check(store.snapshot(), GraphSettings(), store.problems, store.warnings)


def _to_try(gateway: Gateway, manifests: Path) -> Iterator[Block]:
    command = f"{sys.executable} -m fastroute"
    yield Line("The gateway runs until Ctrl-C. Try:", "bold")
    yield Line(f"  curl http://{gateway.address}:{gateway.port()}/fruits")
    yield Line(f"  curl http://127.0.0.1:{gateway.metrics}/metrics")
    yield Line(f"  {command} explain GET http://{gateway.address}/fruits --manifests {manifests}")
    yield Line(f"  rm {manifests / GRANT}     # and send the request again")
