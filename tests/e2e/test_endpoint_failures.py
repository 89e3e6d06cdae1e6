"""An operator finds the endpoint that fails: with `fastroute status`, the admin API and the metrics."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio
from e2e.serving import ENVIRONMENT, Serving, killed, serving
from e2e.test_admin import ask
from load import PATIENCE, Backend
from peer import Peer
from rig import Backend as Scripted
from rig import backends, free_port

from fastroute.demo.client import Client

SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{namespace: apples, name: {name}, labels: {{kubernetes.io/service-name: apples}}}}
addressType: IPv4
ports: [{{port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"""
BACKEND = "apples/apples:80"
SERIES = f'fastroute_endpoint_failures_total{{backend="{BACKEND}",reason="upstream_closed"}}'
AVOIDED = f'fastroute_endpoints{{backend="{BACKEND}",state="avoided"}}'


async def resetting(peer: Peer) -> None:
    await peer.request()
    await peer.reset()


async def endpoints(served: Serving) -> dict[str, dict[str, Any]]:
    [backend] = (await ask(served, f"endpoints?backend={BACKEND}"))["items"]
    return {one["address"]: one for one in backend["endpoints"]}


async def some_fail(served: Serving) -> int:
    """Sends requests until the one endpoint has failed; returns how many did."""
    failed = 0
    with trio.fail_after(PATIENCE):
        while failed < 3:
            async with Client("127.0.0.1", served.port) as client:
                failed += (await client.ask("/fruits")).status == 502
    return failed


@asynccontextmanager
async def one_of_three(tmp_path: Path, workers: int = 2) -> AsyncIterator[tuple[Serving, Scripted]]:
    async with backends(resetting) as [bad], serving(tmp_path, workers=workers) as served:
        third = Backend("third")
        async with trio.open_nursery() as nursery:
            await nursery.start(third.serve)
            async with served.applied():
                served.world.write("bad", SLICE, name="bad", port=bad.port)
            async with served.applied():
                served.world.write("third", SLICE, name="third", port=third.port)
            yield served, bad
            nursery.cancel_scope.cancel()


async def test_the_endpoint_that_resets_is_named(tmp_path: Path) -> None:
    async with one_of_three(tmp_path) as (served, bad):
        label = f"127.0.0.1:{bad.port}"
        failed = await some_fail(served)
        with trio.fail_after(PATIENCE):  # a worker reports it within a second
            while (found := await endpoints(served))[label]["failures"] < failed:  # noqa: ASYNC110
                await trio.sleep(0.1)
        assert found[label]["failure_reasons"] == {"upstream_closed": failed}
        assert (found[label]["state"], found[label]["recent_failures"]) == ("ready", failed)
        assert found[label]["last_failure"] is not None
        assert [one["failures"] for address, one in found.items() if address != label] == [0, 0]
        samples = await served.metrics()
        assert samples[SERIES] == failed
        assert [name for name in samples if name.startswith("fastroute_endpoint_failures_total")] == [SERIES]
        command = [sys.executable, "-m", "fastroute", "status", "--admin", f"127.0.0.1:{served.admin_port}"]
        run = partial(subprocess.run, env=ENVIRONMENT, check=True, capture_output=True, text=True)
        text = (await trio.to_thread.run_sync(run, command)).stdout
        assert f"{label} FAILED {failed} times in the last minute (so far: upstream_closed {failed})" in " ".join(
            text.split()
        )
        document = json.loads((await trio.to_thread.run_sync(run, [*command, "-o", "json"])).stdout)
        [backend] = [one for one in document["endpoints"] if one["backend"] == BACKEND]
        assert found[label] in backend["endpoints"]


async def test_failures_outlive_workers_changes_and_the_endpoint(tmp_path: Path) -> None:
    async with one_of_three(tmp_path, workers=1) as (served, bad):
        label = f"127.0.0.1:{bad.port}"
        failed = await some_fail(served)
        with trio.fail_after(PATIENCE):
            while (await served.metrics()).get(SERIES, 0) < failed:  # noqa: ASYNC110
                await trio.sleep(0.1)
        [worker] = served.workers()
        await killed(worker)
        with trio.fail_after(PATIENCE):
            while await served.health("/readyz") != 200 or served.workers() in ([], [worker]):  # noqa: ASYNC110
                await trio.sleep(0.02)
        async with served.applied():
            served.world.remove("bad")
        assert (await served.metrics())[SERIES] == failed
        with trio.fail_after(PATIENCE):  # an answer is kept for a second
            while (found := (await endpoints(served))[label])["state"] != "gone":  # noqa: ASYNC110
                await trio.sleep(0.1)
        assert (found["used"], found["failures"]) == (False, failed)


async def test_an_endpoint_is_not_avoided_for_ever_if_nobody_asks(tmp_path: Path) -> None:
    async with serving(tmp_path, workers=1) as served:
        async with served.applied():
            served.world.write("dead", SLICE, name="dead", port=free_port())
        async with Client("127.0.0.1", served.port) as client:
            with trio.fail_after(PATIENCE):
                while (await served.metrics())[AVOIDED] != 1:
                    for _ in range(10):
                        assert (await client.ask("/fruits")).status == 200
        with trio.fail_after(PATIENCE):
            while (await served.metrics())[AVOIDED] != 0:  # noqa: ASYNC110
                await trio.sleep(0.1)
