"""The Service of each Gateway: created, deleted, and not forgotten if the API server is unavailable or its garbage
collection is slow."""

from contextlib import asynccontextmanager

import pytest
import trio
from worlds import GATEWAY, graph_of
from writing.standin import Server

from fastroute.apiserver.client import ApiError
from fastroute.writing.infrastructure import RETRY, Infrastructure

PATH = "/api/v1/namespaces/infra/services/web-fastroute"


def graph(uid):
    return graph_of(GATEWAY.replace("namespace: infra", f"namespace: infra, uid: {uid}"))


@asynccontextmanager
async def leading(server):
    infrastructure = Infrastructure(server)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(infrastructure.run)
        infrastructure.lead(True)
        yield infrastructure
        nursery.cancel_scope.cancel()


def owner(server):
    [reference] = server.objects[PATH]["metadata"]["ownerReferences"]
    return reference["uid"]


async def test_it_comes_and_goes_with_the_gateway(autojump_clock):
    server = Server()
    async with leading(server) as infrastructure:
        infrastructure.post(graph("one"))
        await trio.sleep(1)
        assert owner(server) == "one"
        infrastructure.post(graph_of())
        await trio.sleep(1)
        assert PATH not in server.objects


@pytest.mark.parametrize("refused", ["GET", "DELETE"])
async def test_one_that_cannot_be_taken_away_is_tried_again(autojump_clock, refused):
    server = Server()

    def refuse(method, path):
        if method == refused:
            raise ApiError(0, "Unreached", "nobody there")

    async with leading(server) as infrastructure:
        infrastructure.post(graph("one"))
        await trio.sleep(1)
        server.refuse = refuse
        infrastructure.post(graph_of())  # its class now belongs to another controller
        await trio.sleep(2 * RETRY)
        assert PATH in server.objects
        server.refuse = lambda method, path: None
        await trio.sleep(2 * RETRY)
        assert PATH not in server.objects


async def test_a_gateway_that_is_made_anew_waits_until_the_old_service_is_gone(autojump_clock):
    server = Server()
    async with leading(server) as infrastructure:
        infrastructure.post(graph("one"))
        await trio.sleep(1)
        infrastructure.post(graph("two"))
        await trio.sleep(2 * RETRY)
        assert owner(server) == "one"
        del server.objects[PATH]  # as the cluster's garbage collector does
        await trio.sleep(2 * RETRY)
        assert owner(server) == "two"


async def test_one_that_goes_while_it_is_looked_at_is_made(autojump_clock):
    server = Server()

    def refuse(method, path):
        if method == "GET":
            server.objects.pop(PATH, None)

    async with leading(server) as infrastructure:
        infrastructure.post(graph("one"))
        await trio.sleep(1)
        server.refuse = refuse
        infrastructure.post(graph("two"))
        await trio.sleep(2 * RETRY)
        assert owner(server) == "two"


async def test_one_of_somebody_else_is_left_alone(autojump_clock, caplog):
    server = Server()
    server.put(PATH, {"metadata": {"name": "web-fastroute", "namespace": "infra"}})
    async with leading(server) as infrastructure:
        infrastructure.post(graph("one"))
        await trio.sleep(5 * RETRY)
    assert "ownerReferences" not in server.objects[PATH]["metadata"]
    assert len(caplog.messages) == 1
    assert "was not created by fastroute" in caplog.text
