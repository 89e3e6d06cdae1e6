"""`serve` apart from proxying: exit codes, errors in settings, the default number of workers."""

import json
import signal
import socket
import subprocess
import sys

import msgspec
import pytest
import trio
from e2e.serving import World, serving
from load import PATIENCE, Backend, Load, loaded, until

from fastroute import app, operators
from fastroute.admin.endpoint import bind_endpoint
from fastroute.demo.pods import free_ports
from fastroute.errors import SettingError
from fastroute.settings import Limits, ServeSettings

OFF = ServeSettings(metrics=None, health=None, admin=None)


def command(*options):
    return subprocess.run(
        [sys.executable, "-m", "fastroute", "serve", *options], capture_output=True, text=True, timeout=60, check=False
    )


def test_manifests_that_are_missing_end_it_with_2(tmp_path):
    ended = command("--manifests", str(tmp_path / "absent"))
    assert ended.returncode == 2
    assert "absent" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_metrics_address_that_is_taken_ends_it_with_2(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = command("--manifests", str(tmp_path), "--metrics", address)
    assert ended.returncode == 2
    assert f"--metrics {address}" in ended.stderr.replace("\n", " ")
    assert "Traceback" not in ended.stderr


def test_a_health_address_that_is_taken_ends_it_with_2(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = command("--manifests", str(tmp_path), "--metrics", "127.0.0.1:0", "--health", address)
    assert ended.returncode == 2
    assert f"--health {address}" in ended.stderr.replace("\n", " ")
    assert "Traceback" not in ended.stderr


def test_a_default_health_address_that_is_taken_is_logged(caplog):
    with bind_endpoint("127.0.0.1", 0, "--health") as taken:
        settings = msgspec.structs.replace(OFF, health=taken.getsockname()[:2])
        assert operators.bind_endpoints(settings).health is None
        assert "--health" in caplog.text
        assert "is in use by another process" in caplog.text
        with pytest.raises(SettingError, match="--health"):
            operators.bind_endpoints(msgspec.structs.replace(settings, health_required=True))
    assert operators.bind_endpoints(OFF).health is None


def test_a_default_admin_address_that_is_taken_is_logged(caplog):
    with bind_endpoint("127.0.0.1", 0, "--admin") as taken:
        settings = msgspec.structs.replace(OFF, admin=taken.getsockname()[:2])
        assert operators.bind_endpoints(settings).admin is None
        assert "There is no admin API" in caplog.text
        with pytest.raises(SettingError, match="--admin"):
            operators.bind_endpoints(msgspec.structs.replace(settings, admin_required=True))
    assert operators.bind_endpoints(OFF).admin is None


@pytest.mark.parametrize(
    ("asked", "ports", "flows", "said"),
    [
        (65_536, 28_232, 12_351, False),
        (20_000, 28_232, 12_351, True),
        (10, 28_232, 10, False),
        (65_536, 0, 65_536, False),
    ],
)
def test_flows_are_limited_by_the_local_ports(asked, ports, flows, said, caplog):
    """Without a line for the default, which few machines reach."""
    caplog.set_level("INFO")
    settings = ServeSettings(workers=2, limits=Limits(max_flows=asked))
    assert app._with_local_ports(settings, range(ports)).limits.max_flows == flows
    assert ("--max-flows" in caplog.text) is said


def test_an_access_log_that_cannot_be_written_ends_it_with_2(tmp_path):
    ended = command("--manifests", str(tmp_path), "--access-log", str(tmp_path / "absent" / "log"))
    assert ended.returncode == 2
    assert "--access-log" in ended.stderr
    assert "No such file or directory" in ended.stderr.replace("\n", " ")


async def test_broken_manifests_and_taken_ports_do_not_keep_it_from_being_ready(tmp_path):
    (tmp_path / "broken.yaml").write_text("kind: [")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with serving(tmp_path, "--port-offset", str(taken.getsockname()[1] - 80)) as served:
            assert await served.health("/readyz") == 200


async def test_a_port_that_becomes_free_is_served(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with serving(tmp_path, "--port-offset", str(port - 80)):
            taken.close()
            load = Load(port, "/fruits", keep=False)
            with trio.fail_after(PATIENCE):
                while not load.answers:
                    with trio.move_on_after(0.2):
                        await load.run(1)
            assert load.answers[0].status == 200


async def test_without_an_endpoint_for_metrics_it_serves_too(tmp_path):
    backend = Backend("bananas")
    (port,) = free_ports(1)
    async with trio.open_nursery() as nursery:
        await nursery.start(backend.serve)
        World(tmp_path).fill(backend)
        options = ["--manifests", str(tmp_path), "--port-offset", str(port - 80), "--metrics", "off", "--workers", "1"]
        process = await trio.lowlevel.open_process([sys.executable, "-m", "fastroute", "serve", *options])
        load = Load(port, "/fruits", keep=False)
        with trio.fail_after(PATIENCE):
            while not load.answers:
                with trio.move_on_after(0.2):
                    await load.run(1)
        process.terminate()
        assert await process.wait() == 0
        nursery.cancel_scope.cancel()


async def test_ctrl_c_drains(tmp_path):
    async with serving(tmp_path) as served:
        served.process.send_signal(signal.SIGINT)
        with trio.fail_after(PATIENCE):
            assert await served.process.wait() == 0


async def test_the_access_log_on_stdout_is_whole_lines_of_both_workers(tmp_path):
    folder = tmp_path / "manifests"
    folder.mkdir()
    lines = tmp_path / "lines"
    with lines.open("wb") as out:
        async with serving(folder, "--access-log", "-", stdout=out) as served:
            async with loaded(Load(served.port, "/fruits"), 8) as load:
                await load.answered(100)
            await until(lambda: lines.read_bytes().count(b"\n") >= len(load.answers))
            entries = [json.loads(line) for line in lines.read_bytes().splitlines()]
    assert len(entries) == len(load.answers)
    assert {entry["path"] for entry in entries} == {"/fruits"}


async def test_a_relative_access_log_is_where_serve_was_started(tmp_path, monkeypatch):
    folder = tmp_path / "manifests"
    folder.mkdir()
    async with serving(folder, "--access-log", "access.log", cwd=tmp_path) as served:
        async with loaded(Load(served.port, "/fruits"), 1) as load:
            await load.answered(3)
        log = tmp_path / "access.log"
        await until(lambda: log.read_bytes().count(b"\n") >= len(load.answers))
        assert len((tmp_path / "access.log").read_bytes().splitlines()) == len(load.answers)


async def test_the_access_log_in_another_format_with_a_sample(tmp_path):
    folder, log = tmp_path / "manifests", tmp_path / "access.log"
    folder.mkdir()
    options = ("--access-log", str(log), "--access-log-format", "common", "--access-log-sample", "0")
    async with serving(folder, *options) as served:
        for path in ("/fruits", "/not-there"):
            async with loaded(Load(served.port, path), 1) as load:
                await load.answered(3)
            missed = len(load.answers)
        await until(lambda: log.read_bytes().count(b"\n") >= missed)
        lines = log.read_bytes().splitlines()
    assert len(lines) == missed
    assert all(b'] "GET /not-there HTTP/1.1" 404 ' in line for line in lines)
