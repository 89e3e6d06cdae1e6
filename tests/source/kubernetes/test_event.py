"""How many Events are written, which of them if there are too many, and what is counted instead."""

from contextlib import asynccontextmanager

import trio

from fastroute.source.kubernetes.client import ApiError
from fastroute.source.kubernetes.event import BURST, OBJECT_BURST, SPARE, WINDOW, Events, Happening, Regarding

MERGE = "application/merge-patch+json"


class Server:
    """Accepts Events; `gone`: it has lost all of them."""

    def __init__(self):
        self.asked, self.gone, self.refusal = [], False, None

    async def request(self, method, path, body=None, *, content_type="application/json", **_):
        await trio.lowlevel.checkpoint()
        self.asked.append((method, path, body))
        if self.refusal:
            raise self.refusal
        if method == "PATCH":
            assert content_type == MERGE
            if self.gone:
                raise ApiError(404, "NotFound", "no such event")
        return b"{}"

    @property
    def methods(self):
        return [method for method, _, _ in self.asked]


def happening(name="r", note="n", warning=False):
    regarding = Regarding("gateway.networking.k8s.io/v1", "HTTPRoute", "infra", name, f"uid-{name}")
    return Happening(regarding, warning, "Accepted", "Attach", note)


@asynccontextmanager
async def running():
    """A server, and an Events that writes to it."""
    server = Server()
    events = Events(server, ("fastroute.dev/gateway", "me"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(events.run)
        yield server, events
        nursery.cancel_scope.cancel()


async def test_an_event_says_what_kubectl_shows(autojump_clock):
    async with running() as (server, events):
        events.tell(happening(note="é" * 1_000))
        await trio.sleep(1)
        ((method, path, body),) = server.asked
        assert (method, path) == ("POST", "/apis/events.k8s.io/v1/namespaces/infra/events")
        assert body["reportingController"] == "fastroute.dev/gateway"
        assert (body["type"], body["reason"], body["regarding"].name) == ("Normal", "Accepted", "r")
        assert len(body["note"].encode()) <= 1_024


async def test_the_same_again_is_counted(autojump_clock):
    async with running() as (server, events):
        for count in (2, 3):
            events.tell(happening())
            await trio.sleep(1)
            assert len(server.methods) == count - 1
        assert server.methods == ["POST", "PATCH"]
        assert server.asked[1][2]["series"]["count"] == 2
        assert server.asked[1][1].startswith(server.asked[0][1] + "/r.")
        server.gone = True
        events.tell(happening())
        await trio.sleep(WINDOW)
        events.tell(happening())
        await trio.sleep(1)
        assert server.methods == ["POST", "PATCH", "PATCH", "POST", "POST"]


async def test_one_object_tells_only_so_much(autojump_clock):
    async with running() as (_, events):
        assert sum(events.tell(happening(note=f"{number}")) for number in range(100)) == OBJECT_BURST
        assert events.tell(happening("other"))


async def test_of_too_many_those_of_what_is_wrong_come_first(autojump_clock):
    async with running() as (_, events):
        assert sum(events.tell(happening(f"r{number}")) for number in range(1_000)) == BURST - SPARE
        assert sum(events.tell(happening(f"w{number}", warning=True)) for number in range(1_000)) == SPARE


async def test_what_is_refused_is_said_once(autojump_clock, caplog):
    async with running() as (server, events):
        server.refusal = ApiError(403, "Forbidden", "no")
        events.tell(happening())
        events.tell(happening("s"))
        await trio.sleep(1)
        assert caplog.messages == [
            "events cannot be written: 403 Forbidden: no: allow create and patch on events.k8s.io events"
        ]
