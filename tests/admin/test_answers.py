"""Answers of the admin API: one at a time, with a rest after each that nobody can skip."""

import pytest
import trio
from starlette.exceptions import HTTPException

from fastroute.admin import answers as module
from fastroute.admin.answers import ANSWERS, KEPT, KEPT_BYTES, REST, WAITING, Answers


class Maker:
    """Makes answers that take `cost` seconds of CPU time each."""

    def __init__(self, cost=0.2):
        self.cost = cost
        self.cpu = 0.0
        self.made = []
        self.answers = Answers(lambda: self.cpu)

    def make(self):
        self.made.append(trio.current_time())
        self.cpu += self.cost
        return b"answer"

    async def get(self, asked):
        return await self.answers.get(asked, self.make)


async def test_one_answer_is_made_at_a_time_and_kept(autojump_clock):
    maker = Maker()
    async with trio.open_nursery() as nursery:
        for _ in range(WAITING):
            nursery.start_soon(maker.get, "one")
    assert len(maker.made) == 1
    async with trio.open_nursery() as nursery:
        for name in ("two", "three"):
            nursery.start_soon(maker.get, name)
    assert maker.made[2] - maker.made[1] == pytest.approx(maker.cost * REST)  # the main loop has the time between
    await trio.sleep(KEPT)
    await maker.get("one")
    assert len(maker.made) == 4
    maker.cost = 0.0
    for number in range(ANSWERS + 4):
        await maker.get(str(number))
    assert len(maker.answers._kept) == ANSWERS


async def test_who_asks_does_not_wait_for_the_rest_after_its_own_answer(autojump_clock):
    maker, began = Maker(), trio.current_time()
    await maker.get("one")
    await maker.get("one")  # nor for an answer that is kept
    assert trio.current_time() == began


async def test_a_client_that_leaves_does_not_end_the_rest(autojump_clock):
    maker = Maker()
    for _ in range(3):
        with trio.move_on_after(0.1):
            await maker.get(None)
    assert len(maker.made) == 1
    await maker.get(None)
    assert maker.made[1] - maker.made[0] == pytest.approx(maker.cost * REST)


async def test_after_an_answer_that_failed_there_is_a_rest(autojump_clock):
    maker = Maker()

    def fail():
        maker.make()
        raise HTTPException(400, "wrong")

    for _ in range(2):
        with pytest.raises(HTTPException):
            await maker.answers.get("one", fail)
    assert maker.made[1] - maker.made[0] == pytest.approx(maker.cost * REST)


async def test_only_a_few_questions_wait(autojump_clock):
    maker, refused = Maker(), []

    async def ask():
        try:
            await maker.get(None)
        except HTTPException as error:
            refused.append((error.status_code, error.headers))

    async with trio.open_nursery() as nursery:
        for _ in range(WAITING + 5):
            nursery.start_soon(ask)
    assert refused == [(503, {"retry-after": "1"})] * 5
    assert len(maker.made) == WAITING
    await maker.get(None)  # and then there is room again


async def test_answers_that_are_old_or_large_are_not_kept(autojump_clock, monkeypatch):
    maker = Maker(0.0)
    await maker.get("one")
    await trio.sleep(KEPT)
    await maker.get(None)
    assert not maker.answers._kept
    monkeypatch.setattr(module, "KEPT_BYTES", 3 * len(b"answer"))
    for number in range(5):
        await maker.get(str(number))
    assert list(maker.answers._kept) == ["2", "3", "4"]
    assert KEPT_BYTES > 1000
