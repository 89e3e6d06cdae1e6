"""Answers of the admin API: they are made one at a time and kept for KEPT seconds.

After an answer was made, no other one is made for REST times as long as it took. Only the next question waits for that,
and the time passes whether or not its client stays. So the thread of the API has the GIL for at most one part in
REST + 1, except for as long as one answer takes.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

import trio
from starlette.exceptions import HTTPException

from fastroute.admin.probe import MOST_ADMIN

KEPT = 1.0  # seconds
REST = 3.0
ANSWERS = 16  # that are kept at once
KEPT_BYTES = 16 * 1024 * 1024  # of all answers that are kept
WAITING = MOST_ADMIN  # questions at a time: an HTTP/2 client can ask and leave without limit


class Answers:
    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._making = trio.Lock()
        self._rest_until = -math.inf
        self._waiting = 0
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()  # until when, by what was asked; oldest first

    async def get(self, asked: str | None, make: Callable[[], bytes]) -> bytes:
        """The answer of `make`, which may raise HTTPException. `asked` None: it is not kept."""
        if (known := self._known(asked)) is not None:
            return known
        if self._waiting >= WAITING:
            raise HTTPException(503, f"{WAITING} questions wait for an answer: ask again later", {"retry-after": "1"})
        self._waiting += 1
        try:
            async with self._making:
                if (known := self._known(asked)) is None:
                    await trio.sleep_until(self._rest_until)
                    known = self._made(asked, make)
                return known
        finally:
            self._waiting -= 1

    def _known(self, asked: str | None) -> bytes | None:
        now = trio.current_time()
        while self._kept and next(iter(self._kept.values()))[0] <= now:
            self._kept.popitem(last=False)
        found = self._kept.get(asked) if asked is not None else None
        return found[1] if found else None

    def _made(self, asked: str | None, make: Callable[[], bytes]) -> bytes:
        began = self._clock()
        try:
            answer = make()
        finally:
            self._rest_until = trio.current_time() + (self._clock() - began) * REST
        if asked is not None:
            self._kept[asked] = (trio.current_time() + KEPT, answer)
            while len(self._kept) > ANSWERS or sum(len(one) for _, one in self._kept.values()) > KEPT_BYTES:
                self._kept.popitem(last=False)
        return answer
