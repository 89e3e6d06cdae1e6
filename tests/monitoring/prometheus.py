"""A real Prometheus that scrapes every second, with the alert rules of deploy/monitoring without their `for`."""

import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import trio
import yaml
from load import PATIENCE

from fastroute.demo.client import Client
from fastroute.demo.pods import free_ports

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
EXTRACTED = ROOT / ".cache" / "prometheus" / "usr" / "bin"  # where .ci/test unpacks Debian's package `prometheus`


def program(name: str) -> str | None:
    """The path of prometheus or promtool."""
    return shutil.which(name) or shutil.which(name, path=str(EXTRACTED))


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return list(group["rules"])


class Prometheus:
    def __init__(self, port: int) -> None:
        self._port = port

    async def ask(self, path: str) -> Any:
        """`data` of the answer of its API."""
        async with Client("127.0.0.1", self._port) as client:
            answer = json.loads((await client.ask(f"/api/v1/{path}")).body)
        assert answer["status"] == "success", answer
        return answer["data"]

    async def query(self, expression: str) -> list[Any]:
        """The values now, without those that are no number."""
        found = await self.ask(f"query?query={quote(expression)}")
        return [each for each in found["result"] if each["value"][1] != "NaN"]

    async def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        found = await self.ask("alerts")
        return {alert["labels"]["alertname"] for alert in found["alerts"] if alert["state"] == "firing"}

    async def evaluated(self, times: int = 2) -> None:
        """Waits until all rules were evaluated that often from now on."""
        seen: set[str] = set()
        with trio.fail_after(PATIENCE):
            while len(seen) <= times:
                [group] = (await self.ask("rules"))["groups"]
                seen.add(group["lastEvaluation"])
                await trio.sleep(0.1)


@asynccontextmanager
async def prometheus(folder: Path, targets: Iterable[int]) -> AsyncIterator[Prometheus]:
    """`targets`: ports of /metrics."""
    at_once = [{name: value for name, value in rule.items() if name != "for"} for rule in rules()]
    (folder / "rules.yaml").write_text(json.dumps({"groups": [{"name": "fastroute", "rules": at_once}]}))
    scraped = [{"targets": [f"127.0.0.1:{port}" for port in targets]}]
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.yaml")],
        "scrape_configs": [{"job_name": "fastroute", "static_configs": scraped}],
    }
    (folder / "prometheus.yaml").write_text(json.dumps(settings))
    [port] = free_ports(1)
    command = [program("prometheus"), f"--config.file={folder / 'prometheus.yaml'}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
    command += ["--log.level=error", "--enable-feature=exemplar-storage"]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.DEVNULL)
    try:
        one = Prometheus(port)
        with trio.fail_after(PATIENCE):
            while True:
                try:
                    await one.ask("alerts")
                    break
                except (OSError, ValueError, EOFError):
                    assert process.poll() is None
                    await trio.sleep(0.1)
        yield one
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
