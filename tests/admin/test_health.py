"""/metrics, /healthz and /readyz over a real socket."""

import errno
import http.client
import os
import socket
import threading

import pytest
import trio

from fastroute.admin.endpoint import bind_endpoint, serve_apart, serve_endpoint
from fastroute.admin.health import KEPT, Page, health_app, metrics_app
from fastroute.admin.pulse import SILENT, Pulse
from fastroute.demo.client import Client
from fastroute.descriptors import Shortages
from fastroute.errors import SettingError
from fastroute.metrics import Metrics

NONE = Shortages(lambda use: None)


class State:
    ready = False


async def served(check, host="127.0.0.1", ask="127.0.0.1"):
    """Runs `check(client, metrics, state)` against an endpoint on a free port."""
    metrics, state = Metrics(), State()
    one = bind_endpoint(host, 0, "--metrics")
    port = one.getsockname()[1]
    async with trio.open_nursery() as nursery:
        application = metrics_app(metrics.registry, Pulse(), lambda: state.ready, "mine")
        nursery.start_soon(serve_endpoint, application, one, NONE)
        async with Client(ask, port) as client:
            await check(client, metrics, state)
        nursery.cancel_scope.cancel()


async def test_healthz_is_alive_and_readyz_follows_what_it_is_told():
    async def check(client, metrics, state):
        assert (await client.ask("/healthz")).status == 200
        for ready, status in ((False, 503), (True, 200), (False, 503)):
            state.ready = ready
            assert (await client.ask("/readyz")).status == status

    await served(check)


async def test_the_page_is_rendered_once_for_all_and_kept(autojump_clock):
    metrics, collected = Metrics(), []

    class Counted:
        def collect(self):
            collected.append(trio.current_time())
            return ()

    metrics.registry.register(Counted())
    collected.clear()  # register() collects, too
    page = Page(metrics.registry)
    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(page.text)
    assert len(collected) == 1
    first = await page.text()
    await trio.sleep(KEPT * 0.9)
    assert await page.text() is first
    await trio.sleep(KEPT * 0.2)
    assert await page.text() is not first
    assert len(collected) == 2


async def test_a_thread_answers_while_the_main_loop_hangs_and_says_so():
    hanging, answers, now = threading.Event(), [], [0.0]
    pulse = Pulse(lambda: now[0])
    one = bind_endpoint("127.0.0.1", 0, "--health")
    port = one.getsockname()[1]

    def ask(path):
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        asking.request("GET", path)
        said = asking.getresponse()
        answers.append((said.status, said.read().decode()))

    def watch():
        ask("/healthz")
        now[0] = SILENT + 5
        ask("/healthz")
        ask("/readyz")
        hanging.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_apart, health_app(pulse, lambda: True), one, NONE, "health")
        watching = threading.Thread(target=watch)
        watching.start()
        while not answers:  # noqa: ASYNC110
            await trio.sleep(0.01)
        assert hanging.wait(60)  # the loop of this test hangs
        watching.join()
        nursery.cancel_scope.cancel()
    assert answers == [(200, "alive\n"), (503, f"the main loop has not run for {SILENT + 5:.0f} s\n"), (200, "ready\n")]


async def test_a_thread_that_fails_is_reported_and_started_again(caplog):
    one = socket.socket()
    one.bind(("127.0.0.1", 0))  # accept() fails, because the socket does not listen
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_apart, health_app(Pulse(), lambda: True), one, NONE, "health")
        with trio.fail_after(60):
            while "the thread that answers requests for health failed" not in caplog.text:  # noqa: ASYNC110
                await trio.sleep(0.01)
        one.listen()
        asking = http.client.HTTPConnection("127.0.0.1", one.getsockname()[1], timeout=60)

        def ask():
            asking.request("GET", "/readyz")
            return asking.getresponse().status

        assert await trio.to_thread.run_sync(ask) == 200
        nursery.cancel_scope.cancel()
    assert one.fileno() == -1


async def test_the_main_loop_beats(autojump_clock):
    pulse = Pulse(trio.current_time)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pulse.run)
        await trio.sleep(100)
        assert pulse.age < 1
        nursery.cancel_scope.cancel()
    await trio.sleep(20)
    assert pulse.age > SILENT


async def test_metrics_are_text_that_prometheus_reads():
    async def check(client, metrics, state):
        metrics.propagation.observe(0.004)
        metrics.refused_references.change({("a/one", "HTTPRoute"): 2, ("a/two", "HTTPRoute"): None})
        answer = await client.ask("/metrics")
        assert answer.header("content-type").startswith("text/plain; version=0.0.4")
        lines = answer.body.decode().splitlines()
        assert "fastroute_propagation_seconds_count 1.0" in lines
        assert 'fastroute_refused_references{route="a/one",route_kind="HTTPRoute"} 2.0' in lines
        assert not any("a/two" in line or "_created" in line for line in lines)
        assert any(line.startswith("fastroute_build_info{") for line in lines)
        assert any(line.startswith("process_cpu_seconds_total ") for line in lines)

    await served(check)


async def test_anything_else_is_not_found():
    async def check(client, metrics, state):
        assert (await client.ask("/")).status == 404
        assert (await client.ask("/metrics", method="POST")).status == 405

    await served(check)


async def test_the_ipv6_wildcard_takes_ipv4_too():
    async def check(client, metrics, state):
        assert (await client.ask("/healthz")).status == 200

    await served(check, host="::", ask="127.0.0.1")


def test_without_ipv6_the_wildcard_is_that_of_ipv4(monkeypatch):
    class OfAnOldKernel(socket.socket):
        def __init__(self, family=-1, *more, **named):
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
            super().__init__(family, *more, **named)

    monkeypatch.setattr(socket, "socket", OfAnOldKernel)
    with bind_endpoint("::", 0, "--metrics") as one:
        assert one.getsockname()[0] == "0.0.0.0"
    with pytest.raises(SettingError, match="not supported"):
        bind_endpoint("::1", 0, "--metrics")


def test_an_address_that_is_taken_names_its_option():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingError, match=rf"--metrics 127.0.0.1:{port}: is in use by another process"):
            bind_endpoint("127.0.0.1", port, "--metrics")


@pytest.mark.parametrize(("host", "shown"), [("10.255.255.1", "10.255.255.1:9900"), ("no.such.host.invalid", "9900")])
def test_an_address_that_is_none_of_ours_is_refused(host, shown):
    with pytest.raises(SettingError, match=shown):
        bind_endpoint(host, 9900, "--metrics")


def test_refused_references_are_bounded():
    metrics = Metrics(series=2)
    metrics.refused_references.change({(f"a/{name}", "HTTPRoute"): 1 for name in "dcba"})
    (family,) = metrics.refused_references.collect()
    assert {sample.labels["route"]: sample.value for sample in family.samples} == {"a/a": 1, "a/b": 1, "other": 2}
    metrics.refused_references.change({("b/z", "HTTPRoute"): 3, ("a/a", "HTTPRoute"): None})
    (family,) = metrics.refused_references.collect()
    assert {sample.labels["route"]: sample.value for sample in family.samples} == {"a/b": 1, "b/z": 3, "other": 2}
    metrics.refused_references.change({("c/c", "HTTPRoute"): 1}, anew=True)
    (family,) = metrics.refused_references.collect()
    assert {sample.labels["route"]: sample.value for sample in family.samples} == {"c/c": 1}


async def test_metrics_are_not_shown_to_requests_that_this_installation_forwarded():
    async def check(client, metrics, state):
        for marks, status in (("mine", 403), ("other, mine", 403), ("other", 200), ("", 200)):
            fields = (("Fastroute-Loop", marks),) if marks else ()
            assert (await client.ask("/metrics", headers=fields)).status == status
            assert (await client.ask("/healthz", headers=fields)).status == 200

    await served(check)
