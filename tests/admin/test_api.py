"""The admin API over a real socket."""

import http.client
import json
import threading
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import msgspec
import pytest
import trio
from view.schema import problems_of
from view.seen import seen
from view.test_secrets import planted_world
from worlds import APPLES, BANANAS, FRUITS, GATEWAY, world

from fastroute.admin.api import Access, admin_app
from fastroute.admin.endpoint import bind_endpoint, serve_apart
from fastroute.compiler.compile import compile_snapshot
from fastroute.descriptors import Shortages
from fastroute.explain.explanation import explain
from fastroute.explain.request import parse_url
from fastroute.view.openapi import DOCUMENT, EXPLAIN, RESOURCES, ROOT, openapi
from fastroute.view.paging import Window
from fastroute.view.traffic import Flow, Traffic

NONE = Shortages(lambda use: None)
FLOW = Flow(50, 5, (25, 25, 0))
TRAFFIC = Traffic(5.0, (0.1, 0.2), {("HTTPRoute", "infra/fruits"): FLOW}, {}, {("infra/web", "proxy"): 60})
STATE = seen(world(GATEWAY, FRUITS, APPLES, BANANAS), ready=True, slots=1, traffic=TRAFFIC)
DESCRIPTION = json.loads(msgspec.json.encode(openapi()))
ASKED = ROOT + EXPLAIN + "?" + urlencode({"method": "GET", "url": "http://a.example:8080/fruits"})


class Asked:
    """Asks from a thread, as another process does."""

    def __init__(self, port):
        self.port = port

    async def __call__(self, path, method="GET", host="127.0.0.1", **headers):
        def ask():
            client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            client.putrequest(method, path, skip_host=True)
            for name, value in {"host": host, **headers}.items():
                if value is not None:
                    client.putheader(name.replace("_", "-"), value)
            client.endheaders()
            answer = client.getresponse()
            body = answer.read()
            client.close()
            return answer, body

        answer, body = await trio.to_thread.run_sync(ask)
        return answer, json.loads(body) if body else None


@asynccontextmanager
async def answering(see=lambda: STATE, access=Access()):  # noqa: B008 (frozen)
    one = bind_endpoint("127.0.0.1", 0, "--admin")
    asked = Asked(one.getsockname()[1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_apart, admin_app(see, access), one, NONE, "admin")
        yield asked
        nursery.cancel_scope.cancel()


async def test_every_answer_is_as_the_document_describes_it():
    """For a world with everything that can be in an answer, and for an empty one."""
    for state in (seen(planted_world()[0], traffic=TRAFFIC), STATE, seen(world())):
        async with answering(lambda state=state: state) as ask:
            answer, document = await ask(DOCUMENT)
            assert (answer.status, document) == (200, DESCRIPTION)
            assert set(document["paths"]) == {ROOT + one.name for one in RESOURCES} | {ROOT + EXPLAIN}
            for path in (*(ROOT + one.name for one in RESOURCES), ASKED):
                answer, found = await ask(path)
                assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
                assert problems_of(path.partition("?")[0], 200, found, document) == []


def test_the_check_of_answers_finds_what_is_wrong():
    answer = json.loads(msgspec.json.encode(RESOURCES[0].view(STATE, Window())))
    path = ROOT + RESOURCES[0].name
    assert problems_of(path, 200, answer, DESCRIPTION) == []
    for wrong in ({"ready": 1}, {"more": 1}, {"workers": [{}]}, {"refused": [{"kind": None}]}):
        assert problems_of(path, 200, {**answer, **wrong}, DESCRIPTION) != []


async def test_errors_are_as_the_document_describes_them():
    async with answering() as ask:
        for path, status in (
            (ROOT + "routes?limit=0", 400),
            (ROOT + "routes?limit=1001", 400),
            (ROOT + "routes?limit=x", 400),
            (ROOT + "routes?problems=yes", 400),
            (ROOT + "routes?listener=proxy", 400),
            (ROOT + "endpoints?" + urlencode([("backend", "a/b:1")] * 51), 400),
            (ROOT + "explain", 400),
            (ROOT + "explain?method=GET&url=ftp://a/", 400),
            (ROOT + "explain?method=GET&url=tcp://127.0.0.1:80", 400),
            (ROOT + "explain?url=http://a/", 400),
            (ROOT + "explain?method=GET&url=http://a/&header=x", 400),
            (ROOT + "explain?method=GET&url=http://a/&gateway=x", 400),
        ):
            answer, found = await ask(path)
            assert answer.status == status, path
            assert problems_of(path.partition("?")[0], status, found, DESCRIPTION) == []
        for path in ("/dashboard", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v1/status/", "/metrics"):
            answer, found = await ask(path)
            assert (answer.status, list(found)) == (404, ["error"])
            assert problems_of(ROOT + "status", 404, found, DESCRIPTION) == []
    async with answering(lambda: None) as ask:
        answer, found = await ask(ROOT + "status")
        assert (answer.status, found) == (503, {"error": "nothing is served yet"})


async def test_an_unexpected_error_is_logged_and_answered(caplog):
    async with answering(lambda: STATE._replace(graph=None)) as ask:
        for path in (ROOT + "routes", ASKED):
            answer, found = await ask(path)
            assert answer.status == 500
            assert problems_of(path.partition("?")[0], 500, found, DESCRIPTION) == []
    assert [one.exc_info is not None for one in caplog.records if "could not make" in one.message] == [True, True]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "X"])
async def test_only_get_and_head_are_answered(method):
    async with answering() as ask:
        for path in (ROOT + "status", ROOT + EXPLAIN, DOCUMENT):
            answer, found = await ask(path, method)
            assert (answer.status, found) == (405, {"error": "only GET is answered"})
            assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
        answer, found = await ask(ROOT + "gateways", "HEAD")
        assert (answer.status, found) == (200, None)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8080", 200),  # of a port-forward
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::ffff:127.0.0.1]:9901", 200),
        ("ops.example", 200),
        ("OPS.example:9901", 200),
        ("[fd00:0::1]:9901", 200),
        ("[fd00::2]:9901", 421),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.2", 421),
        ("[::1]", 421),
        ("127.0.0.1@evil.example", 421),
        ("", 421),
    ],
    ids=repr,
)
async def test_a_page_that_resolves_its_own_name_to_this_address_learns_nothing(host, status):
    async with answering(access=Access(frozenset({"ops.example", "fd00::1"}))) as ask:
        for path in (ROOT + "status", DOCUMENT, ROOT):
            answer, found = await ask(path, host=host)
            assert (answer.status == 421) is (status == 421)
            if status == 421:
                assert "--admin-host" in found["error"]


async def test_without_a_host_nothing_is_answered():
    async with answering() as ask:
        client = await trio.open_tcp_stream("127.0.0.1", ask.port)
        await client.send_all(f"GET {ROOT}status HTTP/1.0\r\n\r\n".encode())
        assert b" 421 " in await client.receive_some()
        await client.aclose()


async def test_requests_through_the_gateway_itself_are_refused():
    async with answering(access=Access(installation="mine")) as ask:
        answer, _ = await ask(ROOT + "status", fastroute_loop="other, mine")
        assert answer.status == 403
        answer, _ = await ask(ROOT + "status", fastroute_loop="other")
        assert answer.status == 200


async def test_browsers_may_not_keep_or_run_an_answer():
    async with answering() as ask:
        for path in (ROOT + "status", ROOT + "nothing"):
            answer, _ = await ask(path, origin="http://evil.example")
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"] == "default-src 'none'"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_pages_together_have_everything():
    routes = [FRUITS.replace("name: fruits", f"name: r{number:02}") for number in range(23)]
    state = seen(world(GATEWAY, *routes))
    async with answering(lambda: state) as ask:
        found, path = [], ROOT + "routes?limit=10"
        while path:
            _, page = await ask(path)
            assert page["total"] == 23
            found += [one["name"] for one in page["items"]]
            path = page["next"] and ROOT + "routes?" + urlencode({"limit": 10, "after": page["next"]})
    assert found == [f"infra/r{number:02}" for number in range(23)]


async def test_parameters_choose_items_and_others_are_ignored():
    async with answering() as ask:
        for query, found in (
            ("routes?search=fruits+infra", ["infra/fruits"]),
            ("routes?search=absent", []),
            ("routes?gateway=infra/web&listener=proxy&problems=true", ["infra/fruits"]),
            ("routes?gateway=infra/other", []),
            ("routes?backend=absent", ["infra/fruits"]),  # of endpoints only
            ("gateways?search=absent", []),
        ):
            _, page = await ask(ROOT + query)
            assert ([one["name"] for one in page["items"]], page["total"]) == (found, len(found))


async def test_explain_is_asked_as_on_the_command_line():
    graph = STATE.graph
    parameters = [("method", "get"), ("url", "http://a.example:8080/fruits?x=1"), ("header", "A: 1"), ("header", "B:2")]
    request, port = parse_url("GET", "http://a.example:8080/fruits?x=1", (("A", "1"), ("B", "2")))
    for gateways in ((), ("infra/web",), ("infra/other",)):
        query = urlencode([*parameters, *(("gateway", one) for one in gateways)])
        async with answering() as ask:
            _, found = await ask(f"{ROOT}explain?{query}")
        told = explain(compile_snapshot(graph).snapshot, graph, request, port, gateways)
        assert found == json.loads(msgspec.json.encode(told))


async def test_the_main_loop_may_be_busy():
    asked, found = threading.Event(), []
    async with answering() as ask:
        assert (await ask(ROOT + "routes"))[0].status == 200  # the thread runs

        def watch():
            client = http.client.HTTPConnection("127.0.0.1", ask.port, timeout=60)
            client.request("GET", ROOT + "status")
            found.append(client.getresponse().status)
            asked.set()

        watching = threading.Thread(target=watch)
        watching.start()
        assert asked.wait(60)  # the loop of this test hangs
        watching.join()
    assert found == [200]
