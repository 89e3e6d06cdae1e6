"""Reports of a worker while the engine finds something new all the time."""

from typing import cast

from fastroute.ext.engine.engine import Engine
from fastroute.publication import FAILED, EndpointFailures, FailedEndpoint, Upward
from fastroute.snapshot import Endpoint
from fastroute.worker.control import ControlStream
from fastroute.worker.serve import ROUNDS, send_failures

Found = tuple[str, str, dict[str, int]]
APART = 512  # FAILING_MOST
FOUND: Found = ("a/x:80", "10.0.0.1:80", {"status": 1})


class Failing:
    """An engine with `count` failed endpoints. With `endless`, as many fail again while a message is sent."""

    def __init__(self, count: int, *, endless: bool = False) -> None:
        self._left, self._endless = count, endless
        self.calls = 0

    def failures(self, most: int) -> list[Found]:
        self.calls += 1
        assert self.calls <= 100, "the report never ends"
        taken = min(most, self._left)
        self._left -= 0 if self._endless else taken
        return [FOUND] * taken


class Messages:
    def __init__(self) -> None:
        self.sent: list[EndpointFailures] = []

    async def send(self, message: Upward) -> None:
        assert isinstance(message, EndpointFailures)
        self.sent.append(message)


async def sent(engine: Failing) -> list[EndpointFailures]:
    control = Messages()
    await send_failures(cast(Engine, engine), cast(ControlStream, control))
    return control.sent


async def test_a_report_ends_while_endpoints_fail_all_the_time() -> None:
    assert len(await sent(Failing(1, endless=True))) == ROUNDS
    assert len(await sent(Failing(FAILED, endless=True))) == ROUNDS


async def test_a_report_has_room_for_all_that_the_engine_tells_apart() -> None:
    """And for those that it does not tell apart."""
    messages = await sent(Failing(APART + 1))
    assert [each for message in messages for each in message.endpoints] == [
        FailedEndpoint("a/x:80", Endpoint("10.0.0.1", 80), {"status": 1})
    ] * (APART + 1)


async def test_without_failures_nothing_is_sent() -> None:
    assert await sent(Failing(0)) == []
