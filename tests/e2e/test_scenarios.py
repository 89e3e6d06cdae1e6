"""Golden pairs of requests and responses: every world of tests/golden over real sockets with real echo servers.

One `fastroute serve` runs them all; its manifests are replaced. NAME.req.yaml is a list of requests: `path`; `host`,
`port` (the listener's), `tls`, `method`, `headers` where they matter. `answers` counts the responses on one connection
by source: an echo server's `namespace/service`, a status of the gateway itself, or `refused` if the connection is
refused. `via` is `tcp` or `tls` for a listener that does not read requests: each has a connection of its own, and
`reset` or `close` counts those that end without a response. `pods` is the number of pods that answered, `echo` what
the backend must have received (`path`, `host`, or a header's values, null for none), `response` the header fields that
the response must have. The steps of one world (NAME.1-…, NAME.2-…) are applied in order, and then in reverse. `via:
udp` is only for the comparison with `explain` (tests/e2e/test_udp.py sends datagrams).

A marker shows when a world is served: a separate listener that redirects to the name of the world.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import h11
import msgspec
import pytest
import trio

from fastroute.demo.client import Answer, Client
from fastroute.demo.echo import serve_echo
from fastroute.demo.gateway import Gateway, running_gateway
from fastroute.demo.pods import Pod, pods, with_free_ports
from fastroute.source.directory import Directory

GOLDEN = Path(__file__).parent.parent / "golden"
MARKER_PORT = 8999
LISTENERS = (80, 443, *range(8001, 8009), 8080, 8081, 8443, 8444, MARKER_PORT, 9000, 9001, 9443)

MARKER = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: marker, namespace: marker}}
spec:
  gatewayClassName: fastroute
  listeners: [{{name: marker, port: {port}, protocol: HTTP}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: marker, namespace: marker}}
spec:
  parentRefs: [{{name: marker}}]
  rules: [{{filters: [{{type: RequestRedirect, requestRedirect: {{hostname: "{step}"}}}}]}}]
---
"""


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """One item of NAME.req.yaml."""

    path: str
    answers: dict[str | int, int]
    host: str = "gateway.example.com"
    port: int = 80
    method: str = "GET"
    tls: bool = False
    via: str = ""
    pods: int | None = None
    headers: dict[str, str] = {}
    echo: dict[str, Any] = {}
    response: dict[str, str] = {}


class Step(msgspec.Struct):
    """One step of a world: its manifests with real ports, its pods, and the requests."""

    name: str
    text: str
    pods: tuple[Pod, ...]
    asked: list[Asked]


def worlds() -> dict[str, list[str]]:
    """Names of the golden pairs, grouped by world: {"x": ["x.1-a", "x.2-b"], "y": ["y"]}."""
    found: dict[str, list[str]] = {}
    for path in sorted(GOLDEN.glob("*.in.yaml")):
        name = path.name.removesuffix(".in.yaml")
        found.setdefault(name.partition(".")[0], []).append(name)
    return found


def test_every_world_is_asked() -> None:
    missing = [name for steps in worlds().values() for name in steps if not (GOLDEN / f"{name}.req.yaml").exists()]
    assert missing == []


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("manifests") / "world.yaml"


@pytest.fixture(scope="module")
def gateway(file: Path) -> Iterator[Gateway]:
    write(file, "empty", "")
    with running_gateway(file.parent, "--workers", "1", "--log-level", "error", listeners=LISTENERS) as running:
        yield running


@pytest.mark.parametrize("world", worlds())
async def test_world(world: str, file: Path, gateway: Gateway, tmp_path: Path) -> None:
    steps = [read_step(name, tmp_path) for name in worlds()[world]]
    async with trio.open_nursery() as nursery:
        standing = {pod.port: pod for step in steps for pod in step.pods}
        await nursery.start(serve_echo, list(standing.values()))
        await put(file, "empty", "", gateway)  # otherwise broken objects would keep their last good version
        for step in [*steps, *steps[-2::-1]]:
            await put(file, step.name, step.text, gateway)
            for asked in step.asked:
                if asked.via == "udp":
                    continue
                answers = await ask(asked, gateway)
                none = next((who for who in ("reset", "close") if who in asked.answers), "refused")
                assert counted(answers, none) == Counter({str(who): n for who, n in asked.answers.items()}), (
                    step.name,
                    asked,
                )
                check_details(asked, answers)
        nursery.cancel_scope.cancel()


def read_step(name: str, scratch: Path) -> Step:
    text = with_free_ports((GOLDEN / f"{name}.in.yaml").read_text())
    path = scratch / f"{name}.yaml"
    path.write_text(text)
    source = Directory([path])
    source.load()
    slices = source.store.snapshot().endpoint_slices.values()
    asked = msgspec.yaml.decode((GOLDEN / f"{name}.req.yaml").read_bytes(), type=list[Asked])
    return Step(name, text, pods(slices), asked)


async def put(file: Path, name: str, text: str, gateway: Gateway) -> None:
    """Writes a step's manifests, and waits until the workers serve them."""
    write(file, name, text)
    with trio.fail_after(60):
        async with gateway.client(MARKER_PORT) as client:
            served = False
            while not served:
                location = (await client.ask("/")).header("location") or ""
                served = urlsplit(location).hostname == name


def write(file: Path, name: str, text: str) -> None:
    """Replaces the file atomically, as editors and the kubelet do."""
    new = file.with_name(f".{file.name}")
    new.write_text(MARKER.format(port=MARKER_PORT, step=name) + text)
    new.rename(file)


async def ask(asked: Asked, gateway: Gateway) -> list[Answer | None]:
    """As many responses as are expected; None: the connection was refused, or ended without a response."""
    if asked.via:
        return [await apart(asked, gateway) for _ in range(sum(asked.answers.values()))]
    async with gateway.client(asked.port, asked.host if asked.tls else None) as client:
        return [await one(client, asked) for _ in range(sum(asked.answers.values()))]


async def one(client: Client, asked: Asked) -> Answer | None:
    try:
        return await client.ask(asked.path, host=asked.host, method=asked.method, headers=asked.headers.items())
    except OSError:
        return None  # trio: all attempts to connect failed


async def apart(asked: Asked, gateway: Gateway) -> Answer | None:
    """On a connection of its own."""
    async with gateway.client(asked.port, asked.host if asked.via == "tls" else None) as client:
        try:
            return await one(client, asked)
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            return None


def counted(answers: list[Answer | None], none: str = "refused") -> Counter[str]:
    """The number of responses of each source. `none`: what it means that there is none."""
    return Counter(answer.source if answer else none for answer in answers)


def check_details(asked: Asked, answers: list[Answer | None]) -> None:
    echoes = [answer.echo for answer in answers if answer and answer.echo]
    if asked.pods is not None:
        assert len({echo["pod"] for echo in echoes}) == asked.pods, asked
    for echo in echoes:
        seen = {name: echo[name] if name in echo else echo["headers"].get(name) for name in asked.echo}
        assert seen == asked.echo, asked
    for answer in filter(None, answers):
        assert {name: answer.header(name) for name in asked.response} == asked.response, asked
