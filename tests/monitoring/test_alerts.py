"""Alert rules, dashboard and runbook with a real Prometheus and a real gateway: each alert fires by its cause, each
query of the dashboard returns data, and each command of docs/operate.md works while there is the cause of its alert."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
from e2e.serving import ENVIRONMENT
from load import PATIENCE, Backend, Load, loaded, until
from monitoring.prometheus import MONITORING, Prometheus, program, prometheus, rules
from monitoring.world import World, unreachable

from fastroute.demo.pods import free_ports

needs_prometheus = pytest.mark.skipif(
    program("promtool") is None, reason="Debian's package prometheus is not installed"
)
SLOW = 1.2  # seconds that a slow backend takes; the alert is for 1 s
ALWAYS = {"FastrouteNoLeader", "FastrouteKubernetesUnreachable"}  # of the gateway whose API server does not exist
RUNBOOK = MONITORING.parents[1] / "docs" / "operate.md"
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROTOCOLS = ("HTTP", "HTTPS", "TCP", "UDP")


def queries() -> list[str]:
    """All queries of the dashboard, with everything selected."""
    board = json.loads((MONITORING / "dashboard.json").read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    assert len(found) > 20
    return [one.replace("$__rate_interval", "1m").replace("$gateway", ".*").replace("$route", ".*") for one in found]


@needs_prometheus
def test_promtool_accepts_the_rules_and_their_times() -> None:
    for arguments in (["check", "rules", MONITORING / "alerts.yaml"], ["test", "rules", "alerts.test.yaml"]):
        done = subprocess.run(
            [program("promtool"), *arguments], capture_output=True, text=True, cwd=Path(__file__).parent, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_times_of_every_alert_are_tested() -> None:
    tested = (Path(__file__).parent / "alerts.test.yaml").read_text()
    assert [rule["alert"] for rule in rules() if f"alertname: {rule['alert']}\n" not in tested] == []


def sections() -> dict[str, str]:
    """The sections of the runbook, by alert."""
    parts = re.split(r"^## (.*)\n", RUNBOOK.read_text(), flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {name: text for name, text in found.items() if name.startswith("Fastroute")}


def test_every_alert_links_to_its_section_of_the_runbook() -> None:
    found = sections()
    assert list(found) == [rule["alert"] for rule in rules()]
    for rule in rules():
        assert rule["annotations"]["runbook_url"].endswith(f"/docs/operate.md#{rule['alert'].lower()}")
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert [
            part for part in ("**It means:**", "**Look:**", "```sh\n", "**Do:**") if part not in found[rule["alert"]]
        ] == []


def test_a_release_has_the_rules_the_dashboard_and_the_runbook(tmp_path: Path) -> None:
    packed = tmp_path / "monitoring.tgz"
    subprocess.run([MONITORING.parents[1] / ".ci" / "monitoring", packed], check=True)
    with tarfile.open(packed) as archive:
        found = {name: archive.extractfile(name).read() for name in archive.getnames()}
    wanted = {f"fastroute-monitoring/{one.name}": one.read_bytes() for one in (*MONITORING.iterdir(), RUNBOOK)}
    assert found == wanted


class Scene:
    """A gateway with traffic of all kinds, another one without its API server, and Prometheus."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        *ports, self.metrics, self.other_metrics, self.nowhere, self.admin, self.health = free_ports(len(PROTOCOLS) + 5)
        self.ports = dict(zip(PROTOCOLS, ports, strict=True))
        self.backend, self.slow = Backend("fruit"), Backend("slow", SLOW)
        self.taken = socket.socket(type=socket.SOCK_DGRAM)  # takes datagrams
        self.taken.bind(("127.0.0.1", 0))
        (folder / "manifests").mkdir()
        self.world = World(folder / "manifests")
        self.processes: list[trio.Process] = []

    def fill(self) -> None:
        """Everything is as it should be."""
        world = self.world
        world.gateway(self.ports)
        world.certificate(days=365)
        world.service("fruit", self.backend.port)
        world.service("pair", self.backend.port, self.nowhere)
        world.service("far", self.backend.port, namespace="other")
        world.service("few", self.backend.port)
        world.service("slow", self.backend.port)
        world.service("dns", self.taken.getsockname()[1], protocol="UDP")
        for name in ("fruit", "few", "slow"):
            world.route(name, name)
        world.route("far", "far", "other")
        world.l4_route("TCPRoute", "tcp", "fruit")
        world.l4_route("UDPRoute", "udp", "dns")
        world.grant()

    def break_all(self) -> None:
        """The cause of every alert that needs a change of objects."""
        self.world.certificate(days=1)
        self.world.service("few")
        self.world.service("slow", self.slow.port)
        self.world.route("pair", "pair")
        self.world.remove("grant")

    async def start(self, port: int, *options: str) -> trio.Process:
        command = [sys.executable, "-m", "fastroute", "serve", "--metrics", f"127.0.0.1:{port}"]
        command += ["--workers", "2", "--log-level", "error", *options]
        process = await trio.lowlevel.open_process(command, env=ENVIRONMENT)
        self.processes.append(process)
        return process

    async def start_lost(self) -> None:
        """The gateway whose API server does not exist."""
        kubeconfig = str(unreachable(self.folder, self.nowhere))
        options = ["--admin", "off", "--health", "off", "--kubernetes", "--kubeconfig", kubeconfig]
        await self.start(self.other_metrics, *options, "--status-lease", "default/fastroute")

    async def restart_lost(self) -> None:
        self.processes[-1].kill()
        await self.processes[-1].wait()
        await self.start_lost()

    def own_ports(self) -> list[str]:
        found = ["--admin", f"127.0.0.1:{self.admin}", "--health", f"127.0.0.1:{self.health}", "--bind", "127.0.0.1"]
        return [*found, "--max-flows", "64"]

    def here(self, command: str, alert: str) -> str:
        """A command of the runbook, with the ports of this test."""
        metrics = self.other_metrics if alert in ALWAYS else self.metrics
        ports = {"9900": metrics, "9901": self.admin, "9902": self.health}
        return re.sub(r"\b990[012]\b", lambda found: str(ports[found[0]]), command)

    def loads(self) -> list[Load]:
        untrusting = ssl.create_default_context()
        untrusting.check_hostname, untrusting.verify_mode = False, ssl.CERT_NONE
        loads = [Load(self.ports["HTTP"], f"/{path}") for path in ("fruit", "few", "slow", "far", "pair")]
        loads.append(Load(self.ports["HTTPS"], "/fruit", context=untrusting, keep=False))
        loads.append(Load(self.ports["TCP"], keep=False))
        for one in loads:
            one.pause = 0.1
        return loads

    async def datagrams(self) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            while True:
                client.sendto(b"x", ("127.0.0.1", self.ports["UDP"]))
                await trio.sleep(0.1)

    def worker(self) -> int:
        """A worker of the first gateway."""
        tasks = Path(f"/proc/{self.processes[0].pid}/task").glob("*/children")
        return min(int(pid) for task in tasks for pid in task.read_text().split())

    async def stop(self) -> None:
        self.taken.close()
        for process in self.processes:
            process.kill()
            await process.wait()


@needs_prometheus
async def test_every_alert_fires_by_its_cause_and_every_query_has_data(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    try:
        async with trio.open_nursery() as nursery:
            for backend in (scene.backend, scene.slow):
                await nursery.start(backend.serve)
            scene.fill()
            await scene.start(scene.metrics, "--manifests", str(scene.world.folder), *scene.own_ports())
            await scene.start_lost()
            nursery.start_soon(scene.datagrams)
            async with AsyncExitStack() as running:
                loads = scene.loads()
                for load in loads:
                    await running.enter_async_context(loaded(load, 1))
                watching = prometheus(tmp_path, (scene.metrics, scene.other_metrics))
                await phases(scene, loads, await running.enter_async_context(watching))
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await scene.stop()


async def phases(scene: Scene, loads: list[Load], watch: Prometheus) -> None:
    wanted = {rule["alert"] for rule in rules()}
    firing: set[str] = set()
    with trio.move_on_after(PATIENCE):
        while firing != ALWAYS or not await watch.query("rate(fastroute_http_requests_total[1m]) > 0"):
            await trio.sleep(0.1)
            firing = await watch.firing()
    assert firing == ALWAYS  # the API server is missing from the beginning
    await until(lambda: all(load.sources()["fruit"] for load in loads[:4]))
    await watch.evaluated()
    assert await watch.firing() == ALWAYS

    scene.break_all()
    os.kill(scene.worker(), signal.SIGKILL)
    await scene.restart_lost()
    seen = await fired(watch, wanted - {"FastrouteAbsent", "FastrouteReplicaDown", "FastrouteCertificateExpired"})
    scene.world.certificate(days=-1)
    seen |= await fired(watch, {"FastrouteCertificateExpired"})
    await every_query_has_data(watch)
    for alert, section in sections().items():
        await commands_work(scene, alert, section)
    await scene.stop()
    seen |= await fired(watch, {"FastrouteAbsent", "FastrouteReplicaDown"})
    assert seen == wanted


async def fired(watch: Prometheus, wanted: set[str]) -> set[str]:
    """Waits until each of the alerts has fired."""
    seen: set[str] = set()
    with trio.move_on_after(PATIENCE):
        while not wanted <= seen:
            seen |= await watch.firing()
            await trio.sleep(0.1)
    assert wanted - seen == set()
    return seen


async def commands_work(scene: Scene, alert: str, section: str) -> None:
    """Each command of a section prints something, and what the section shows."""
    command = scene.here("\n".join(COMMANDS.findall(section)), alert)
    assert command
    shown: list[str] = []
    script = f'set -eo pipefail\nfastroute() {{ {sys.executable} -m fastroute "$@"; }}\n'
    for line in filter(None, command.splitlines()):  # a section may have several blocks
        done = await trio.run_process(
            ["bash", "-c", script + line], capture_stdout=True, capture_stderr=True, check=False, env=ENVIRONMENT
        )
        assert done.returncode == 0 or " | head " in line, (line, done.stderr)  # `head` ends the program before it
        assert done.stdout, line
        shown.append(done.stdout.decode())
    printed = " ".join(" ".join(shown).split())
    for block in re.findall(r"^```text\n(.*?)^```$", section, re.MULTILINE | re.DOTALL):
        assert [line for line in block.splitlines() if " ".join(line.split()) not in printed] == []


async def every_query_has_data(watch: Prometheus) -> None:
    missing = queries()
    with trio.move_on_after(PATIENCE):
        while missing:
            missing = [one for one in missing if not await watch.query(one)]
            await trio.sleep(0.1)
    assert missing == []


def test_the_dashboard_shows_metrics_that_exist() -> None:
    named = set(re.findall(r"fastroute_\w+", "\n".join(queries())))
    documented = (MONITORING.parents[1] / "docs" / "reference" / "metrics.md").read_text()
    assert {name for name in named if f"`{re.sub(r'_bucket$', '', name)}`" not in documented} == set()
