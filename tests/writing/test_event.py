"""How many Events are written, which of them if there are too many, and what is counted instead."""

from contextlib import asynccontextmanager

import trio

from fastroute.apiserver.client import ApiError
from fastroute.writing.event import BURST, MOST_WAITING, OBJECT_BURST, WINDOW, Events, Happening, Regarding

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

    def names(self, space):
        """Of the objects of a namespace, in the order of their Events."""
        posts = [(path, body) for method, path, body in self.asked if method == "POST"]
        return [body["regarding"].name for path, body in posts if f"/namespaces/{space}/" in path]

    @property
    def methods(self):
        return [method for method, _, _ in self.asked]


def happening(name="r", note="n", warning=False, space="infra"):
    regarding = Regarding("gateway.networking.k8s.io/v1", "HTTPRoute", space, name, f"uid-{space}-{name}")
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


async def test_warnings_do_not_wait_for_other_events_of_their_namespace(autojump_clock):
    async with running() as (server, events):
        for number in range(400):
            events.tell(happening(f"r{number}"))
        events.tell(happening("bad", warning=True))
        await trio.sleep(1)
        assert len(server.asked) >= BURST
        assert "bad" in server.names("infra")


async def test_a_namespace_with_thousands_of_events_does_not_delay_those_of_another(autojump_clock):
    async with running() as (server, events):
        for number in range(5_000):
            events.tell(happening(f"r{number}", warning=True, space="a-tenant"))
        await trio.sleep(5)  # the tokens for a burst are used up
        assert events.tell(happening("r", space="z-tenant"))
        before = len(server.asked)
        await trio.sleep(1)
        assert server.names("z-tenant") == ["r"]
        assert len(server.asked) - before <= 12
        await trio.sleep(100)
        assert len(server.names("a-tenant")) <= MOST_WAITING + 60, "of too many, the newest are dropped"


async def test_too_many_events_of_a_namespace_displace_none_of_another(autojump_clock):
    async with running() as (server, events):
        assert all(events.tell(happening(f"r{number}", space="z-tenant")) for number in range(50))
        told = [events.tell(happening(f"r{number}", space="a-tenant")) for number in range(5_000)]
        assert sum(told) == MOST_WAITING - 50
        assert all(events.tell(happening(f"s{number}", space="z-tenant")) for number in range(50))
        await trio.sleep(100)
        assert len(server.names("z-tenant")) == 100


async def test_events_of_others_are_still_counted_after_thousands_of_one_namespace(autojump_clock):
    async with running() as (server, events):
        events.tell(happening(space="z-tenant"))
        for number in range(40):
            for each in range(100):
                events.tell(happening(f"r{number}-{each}", space="a-tenant"))
            await trio.sleep(10.1)
        events.tell(happening(space="z-tenant"))
        await trio.sleep(1)
        assert [method for method, path, _ in server.asked if "/z-tenant/" in path] == ["POST", "PATCH"]


async def test_a_replica_that_leads_no_more_drops_what_waits(autojump_clock):
    async with running() as (server, events):
        for number in range(300):
            events.tell(happening(f"r{number}"))
        events.clear()
        await trio.sleep(60)
        assert server.asked == []
        events.tell(happening())
        await trio.sleep(1)
        assert server.methods == ["POST"]


async def test_what_is_refused_is_said_once(autojump_clock, caplog):
    async with running() as (server, events):
        server.refusal = ApiError(403, "Forbidden", "no")
        events.tell(happening())
        events.tell(happening("s"))
        await trio.sleep(1)
        assert caplog.messages == [
            "events cannot be written: 403 Forbidden: no: allow create and patch on events.k8s.io events"
        ]
