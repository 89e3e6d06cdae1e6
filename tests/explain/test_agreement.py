"""A running gateway explains a request as the command line does from its manifests: random requests, random worlds."""

import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from compiler.test_any_route import REQUESTS, ROUTES, resources_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from view.seen import seen

from fastroute.admin import endpoint
from fastroute.admin.api import admin_app
from fastroute.admin.endpoint import bind_endpoint, serve_endpoint
from fastroute.asking import Asker
from fastroute.compiler.compile import compile_snapshot
from fastroute.descriptors import Shortages
from fastroute.explain.question import parse_question
from fastroute.explain.request import Request
from fastroute.graph.build import build_graph
from fastroute.pages import explain_page
from fastroute.settings import GraphSettings
from fastroute.text import write_page
from fastroute.view.hidden import hidden_explanation
from fastroute.view.state import State

EXAMPLES = 60  # worlds, with several requests each


class Gateway:
    """An admin API that serves the State that was set last."""

    state: State | None = None
    asker: Asker


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """In a thread, because the tests of hypothesis are synchronous."""
    running, ended = Gateway(), threading.Event()
    one = bind_endpoint("127.0.0.1", 0, "--admin")
    running.asker = Asker(f"http://127.0.0.1:{one.getsockname()[1]}")

    async def serve() -> None:
        async with trio.open_nursery() as nursery:
            site = admin_app(lambda: running.state)
            nursery.start_soon(serve_endpoint, site, one, Shortages(lambda use: None))
            await trio.to_thread.run_sync(ended.wait)
            nursery.cancel_scope.cancel()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(endpoint, "RATE", 1_000_000)
        thread = threading.Thread(target=trio.run, args=(serve,))
        thread.start()
        yield running
        ended.set()
        thread.join()


def url_of(request: Request, port: int) -> str:
    query = "" if request.query is None else f"?{request.query}"
    return f"http://{request.authority}:{port}{request.path}{query}"


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(ROUTES, REQUESTS, st.sampled_from([8080, 9]), st.sampled_from([(), ("infra/web",), ("infra/none",)]))
def test_both_say_the_same(
    gateway: Gateway, specs: list[dict[str, Any]], requests: list[Request], port: int, gateways: tuple[str, ...]
) -> None:
    resources = resources_of(specs).snapshot()
    gateway.state = seen(resources)
    graph = build_graph(resources, GraphSettings())
    snapshot = compile_snapshot(graph).snapshot
    for request in requests:
        url = url_of(request, port)
        question = parse_question(request.method, url, request.headers)
        offline = hidden_explanation(question.answer(snapshot, graph, gateways))
        told = gateway.asker.explanation(request.method, url, request.headers, gateways)
        assert told == offline
        assert printed(question.shown, told) == printed(question.shown, offline)


def printed(asked: str, told: Any) -> str:
    stream = io.StringIO()
    write_page(explain_page(asked, told), stream)
    return stream.getvalue()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(ROUTES, st.sampled_from(["tcp://127.0.0.1:8080", "tls://a.example:8080", "udp://127.0.0.1:9", "tls://b:443"]))
def test_both_say_the_same_about_connections(gateway: Gateway, specs: list[dict[str, Any]], url: str) -> None:
    resources = resources_of(specs).snapshot()
    gateway.state = seen(resources)
    graph = build_graph(resources, GraphSettings())
    offline = parse_question(None, url, ()).answer(compile_snapshot(graph).snapshot, graph)
    assert gateway.asker.explanation(None, url, (), ()) == offline
