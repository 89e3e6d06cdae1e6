"""The admin API of a running gateway: real counters, real workers, secrets of real objects."""

import json
import re
import shutil
import signal
import subprocess
import sys
from base64 import b64encode
from functools import partial
from pathlib import Path

import pytest
import trio
from certificates import certificate
from e2e.serving import ENVIRONMENT, Serving, killed, serving
from e2e.test_https import SECRET, SECRET_GRANT, SECURE
from load import PATIENCE

from fastroute.admin.answers import KEPT
from fastroute.demo.client import Client
from fastroute.view.openapi import RESOURCES, ROOT


async def ask(served: Serving, resource: str) -> dict:
    async with Client("127.0.0.1", served.admin_port) as client:
        answer = await client.ask(ROOT + resource)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)


async def with_traffic(served: Serving, client: Client) -> dict:
    """The route with the shares that are wanted. Requests are sent again if not all of them were in one window."""
    with trio.fail_after(PATIENCE):
        while True:
            for _ in range(20):
                assert (await client.ask("/fruits")).status == 200
            for _ in range(10):
                assert (await client.ask("/none")).status == 404
            await trio.sleep(KEPT)  # an answer is kept
            route = (await ask(served, "routes"))["items"][0]
            shares = route["rules"][0]["backends"]
            if route["latency"] is not None and all(one["seen"] == one["wanted"] for one in shares):
                return route


async def test_rates_shares_and_workers_are_those_of_the_traffic(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, Client("127.0.0.1", served.port) as client:
        with trio.fail_after(PATIENCE):
            while (await ask(served, "status"))["window_seconds"] == 0:  # noqa: ASYNC110
                await trio.sleep(0.05)
        route = await with_traffic(served, client)
        assert (route["name"], route["error_ratio"], route["refused"]) == ("apples/fruits", 0.0, [])
        assert route["rate"] > 0
        assert 0 < route["latency"]["p50"] <= route["latency"]["p99"]
        wanted = {one["backend"]: one["wanted"] for one in route["rules"][0]["backends"]}
        assert wanted == {"bananas/bananas:80": 0.7, "apples/apples:80": 0.3}
        workers = await ask(served, "workers")
        assert sorted(one["pid"] for one in workers["items"]) == served.workers()
        assert all(one["state"] == "serving" and one["version"] == workers["version"] for one in workers["items"])
        assert sum(one["client_connections"] for one in workers["items"]) == 1


async def test_a_worker_that_was_replaced_is_another_process(tmp_path: Path) -> None:
    async with serving(tmp_path, workers=1) as served:
        [old] = (await ask(served, "workers"))["items"]
        await killed(old["pid"])
        with trio.fail_after(PATIENCE):
            while True:
                items = (await ask(served, "workers"))["items"]
                if items and items[0]["pid"] != old["pid"] and items[0]["state"] == "serving":
                    break
                await trio.sleep(0.05)


async def test_a_grant_that_goes_is_shown_as_missing(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        assert (await ask(served, "status"))["refused"] == []
        async with served.applied():
            served.world.remove("grant")
        with trio.fail_after(PATIENCE):
            while not (shown := await ask(served, "status"))["refused"]:  # noqa: ASYNC110
                await trio.sleep(0.05)
        [missing] = shown["refused"]
        assert (missing["object"], missing["field"]) == ("apples/fruits", "spec.rules[0].backendRefs[0]")
        told = await ask(served, "explain?method=GET&url=http://a/fruits")
        assert [one["status"] for one in told["backends"]] == [500, None]
        served.world.write("fix", missing["fix"].replace("{", "{{").replace("}", "}}"))
        with trio.fail_after(PATIENCE):
            while (await ask(served, "status"))["refused"]:  # noqa: ASYNC110
                await trio.sleep(0.05)


async def test_no_answer_contains_the_key_of_a_certificate(tmp_path: Path) -> None:
    made = certificate("shop.example.com")
    key, chain = (b64encode(part).decode() for part in (made.key, made.chain))
    async with serving(tmp_path) as served:
        served.world.write("secret", SECRET, chain=chain, key=key)
        served.world.write("secret-grant", SECRET_GRANT, name="")
        served.world.write("gateway", SECURE, allowed="{from: All}")
        with trio.fail_after(PATIENCE):
            while not (await ask(served, "certificates"))["items"]:  # noqa: ASYNC110
                await trio.sleep(0.05)
        for resource in RESOURCES:
            text = json.dumps(await ask(served, resource.name))
            lines = [line for line in made.key.decode().splitlines() if "---" not in line]
            assert [one for one in (*lines, key, "PRIVATE KEY") if one in text] == []


async def test_an_endpoint_cannot_name_the_admin_address(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        async with served.applied():
            slices = (served.world.folder / "apples.yaml").read_text()
            port = served.backends["apples"].port
            text = slices.replace(f"port: {port}", f"port: {served.admin_port}")
            served.world.write("apples", text.replace("{", "{{").replace("}", "}}"))
        async with Client("127.0.0.1", served.port) as client:
            answers = {(await client.ask("/fruits")).status for _ in range(10)}
        assert answers == {200, 503}


async def test_it_ends_with_the_gateway(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await ask(served, "status")
        served.process.send_signal(signal.SIGTERM)
        with trio.fail_after(PATIENCE):
            assert await served.process.wait() == 0


@pytest.mark.parametrize("page", ["admin", "status"])
async def test_the_commands_of_the_pages_work(tmp_path: Path, page: str) -> None:
    text = (Path(__file__).parents[2] / f"docs/reference/{page}.md").read_text()
    if page == "admin" and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    commands = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    assert commands
    async with serving(tmp_path) as served:
        there = {**ENVIRONMENT, "FASTROUTE_ADMIN": f"127.0.0.1:{served.admin_port}"}
        for command in commands.splitlines():
            here = command.replace("9901", str(served.admin_port)).replace(
                "fastroute ", f"{sys.executable} -m fastroute "
            )
            done = await trio.run_process(["sh", "-c", here], capture_stdout=True, env=there)
            assert done.stdout
            if done.stdout.startswith(b"{"):
                assert "error" not in json.loads(done.stdout), command


@pytest.mark.timeout(4 * PATIENCE)  # two steps, the start and the end
async def test_watching_a_canary_that_goes_bad(tmp_path: Path) -> None:
    """Ctrl-C ends it with 0. The refused backend has 70 of 100 requests."""
    async with serving(tmp_path) as served, Client("127.0.0.1", served.port) as client:
        command = ["env", "--default-signal=INT"]  # a shell makes its background jobs ignore it, and so these tests
        command += [sys.executable, "-m", "fastroute", "status", "--watch", "-o", "json"]
        command += ["--admin", f"127.0.0.1:{served.admin_port}"]
        async with trio.open_nursery() as nursery:
            watching = await nursery.start(partial(trio.run_process, command, stdout=subprocess.PIPE, env=ENVIRONMENT))
            seen: list[dict] = []
            nursery.start_soon(read_overviews, watching.stdout, seen)
            with trio.fail_after(PATIENCE):
                while not seen or seen[-1]["routes"][0]["error_ratio"] != 0.0:
                    assert (await client.ask("/fruits")).status == 200
                    await trio.sleep(0.01)  # the gateway must have time to read its counters
            served.world.remove("grant")
            with trio.fail_after(PATIENCE):
                while not seen[-1]["status"]["refused"] or seen[-1]["routes"][0]["error_ratio"] < 0.3:
                    await client.ask("/fruits")
                    await trio.sleep(0.01)
            watching.send_signal(signal.SIGINT)
        assert watching.returncode == 0
        shares = {one["backend"]: one["reason"] for one in seen[-1]["routes"][0]["rules"][0]["backends"]}
        assert shares == {"bananas/bananas:80": "RefNotPermitted", "apples/apples:80": None}


async def read_overviews(stream: trio.abc.ReceiveStream, seen: list[dict]) -> None:
    rest = b""
    async for data in stream:
        *lines, rest = (rest + data).split(b"\n")
        seen += map(json.loads, lines)


async def test_explain_asks_it_and_prints_what_the_manifests_say(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        served.world.remove("grant")
        with trio.fail_after(PATIENCE):
            while not (await ask(served, "status"))["refused"]:  # noqa: ASYNC110
                await trio.sleep(0.05)
        offline = ["--manifests", str(tmp_path), "--port-offset", str(served.port - 80)]
        offline += ["--metrics", f"127.0.0.1:{served.metrics_port}", "--health", f"127.0.0.1:{served.health_port}"]
        online = ["--admin", f"http://127.0.0.1:{served.admin_port}"]
        questions = (
            ["GET", "http://a/fruits?x=1", "-H", "Accept: text/plain"],
            ["post", "http://a/none", "--gateway", "infra/edge"],
            ["GET", "https://a/"],
            ["tcp://127.0.0.1:80"],
        )
        for question in questions:
            for output in ("text", "json"):
                command = [sys.executable, "-m", "fastroute", "explain", *question, "-o", output]
                found = [
                    (await trio.run_process([*command, *words], capture_stdout=True, env=ENVIRONMENT)).stdout.decode()
                    for words in ([*offline, *online], online)
                ]
                assert [line for line in found[0].splitlines() if line and "Assumed addresses" not in line] == [
                    line for line in found[1].splitlines() if line
                ]
