"""SIGTERM under load, a second signal, and reopening the access log."""

import contextlib
import json
import signal

import trio
from e2e.serving import SERVICE, serving
from load import PATIENCE, Load, loaded, until


async def test_sigterm_under_load_fails_nothing(tmp_path):
    async with serving(tmp_path, "--drain-delay", "5s", delay=0.01) as served:
        process = served.process
        async with (
            loaded(Load(served.port, "/fruits"), 8) as load,
            loaded(Load(served.port, "/fruits", keep=False), 8) as fresh,
        ):
            await load.answered(50)
            assert await served.health("/readyz") == 200
            told = trio.current_time()
            process.send_signal(signal.SIGTERM)
            await served.drains()
            assert await served.health("/healthz") == 200
            await load.answered(50)
            load.stop()
            fresh.stop()
        assert load.breaks == fresh.breaks == []
        assert load.closing > 0
        assert {one.source for one in load.answers if one.asked > told} <= {"bananas", "apples"}
        with trio.fail_after(PATIENCE):
            assert await process.wait() == 0


async def test_what_is_in_flight_is_finished_and_then_it_ends(tmp_path):
    async with serving(tmp_path, "--drain-timeout", "1h", delay=1.0) as served:
        process = served.process
        async with loaded(Load(served.port, "/fruits"), 8) as load:
            await until(lambda: served.asked() == 8)
            process.send_signal(signal.SIGTERM)
            load.stop()
        assert load.breaks == []
        assert {one.status for one in load.answers} == {200}
        with trio.fail_after(PATIENCE):
            assert await process.wait() == 0


async def test_clients_that_go_on_asking_lose_nothing_but_the_listener(tmp_path):
    """Every accepted request gets a response; later connections are refused, never broken."""
    async with serving(tmp_path, "--drain-delay", "300ms") as served:
        async with (
            loaded(Load(served.port, "/fruits"), 8) as load,
            loaded(Load(served.port, "/fruits", keep=False), 8) as fresh,
        ):
            await load.answered(50)
            served.process.send_signal(signal.SIGTERM)
            with trio.fail_after(PATIENCE):
                await served.process.wait()
            load.stop()
            fresh.stop()
        for one in [*load.breaks, *fresh.breaks]:
            assert "ConnectionRefusedError" in one.why


async def test_the_drain_timeout_bounds_it(tmp_path):
    async with (
        serving(tmp_path, "--drain-timeout", "300ms", delay=3600.0) as served,
        loaded(Load(served.port, "/fruits"), 2) as load,
    ):
        await until(lambda: served.asked() == 2)
        told = trio.current_time()
        served.process.send_signal(signal.SIGTERM)
        load.stop()
        with trio.fail_after(PATIENCE):
            await served.process.wait()
        assert trio.current_time() - told >= 0.3
    assert len(load.breaks) == 2


async def test_a_tunnel_goes_on_until_the_drain_timeout_and_is_cut(tmp_path):
    log, manifests = tmp_path / "access.log", tmp_path / "manifests"
    manifests.mkdir()
    async with (
        trio.open_nursery() as nursery,
        serving(manifests, "--drain-timeout", "5s", "--access-log", str(log)) as served,
    ):
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, echoing, [listener])
        for name in served.backends:
            served.world.write(name, SERVICE, name=name, port=listener.socket.getsockname()[1])
        with trio.fail_after(PATIENCE):
            while (tunnel := await switched(served.port)) is None:  # noqa: ASYNC110
                await trio.sleep(0.02)
        told = trio.current_time()
        served.process.send_signal(signal.SIGTERM)
        await served.drains()
        with trio.fail_after(PATIENCE):
            for _ in range(10):
                await tunnel.send_all(b"ping")
                assert await tunnel.receive_some(4) == b"ping"
            assert await tunnel.receive_some(4) == b""
            assert trio.current_time() - told >= 5
            assert await served.process.wait() == 0
        nursery.cancel_scope.cancel()
    lines = [json.loads(line) for line in log.read_bytes().splitlines()]
    assert [line["reason"] for line in lines if line["status"] == 101] == ["drained"]


async def echoing(stream):
    """Sends a 101 response, then echoes everything it receives."""
    with contextlib.suppress(trio.BrokenResourceError):
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        async for data in stream:
            await stream.send_all(data)


async def switched(port):
    """A tunnel; None if the response is not 101."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(b"GET /fruits HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    if (await stream.receive_some()).startswith(b"HTTP/1.1 101"):
        return stream
    await stream.aclose()
    return None


async def test_a_second_signal_ends_it_at_once(tmp_path):
    async with serving(tmp_path, "--drain-delay", "60s") as served:
        process = served.process
        process.send_signal(signal.SIGINT)
        await served.drains()
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        with trio.fail_after(PATIENCE):
            assert await process.wait() == 130


async def test_the_access_log_is_reopened(tmp_path):
    log, old = tmp_path / "access.log", tmp_path / "access.log.1"
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    async with serving(manifests, "--access-log", str(log)) as served:
        async with loaded(Load(served.port, "/fruits"), 4) as load:
            await until(lambda: log.stat().st_size > 0)
            log.rename(old)
            served.process.send_signal(signal.SIGHUP)
            await until(lambda: log.exists() and log.stat().st_size > 0)
        await until(lambda: sum(path.read_bytes().count(b"\n") for path in (old, log)) >= len(load.answers))
        lines = [json.loads(line) for path in (old, log) for line in path.read_bytes().splitlines()]
    assert load.breaks == []
    assert len(lines) == len(load.answers)
    assert log.stat().st_size > 0
    assert {(line["route"], line["status"]) for line in lines} == {("apples/fruits", 200)}
