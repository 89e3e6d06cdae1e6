"""Contact: whether the API server is heard, said once each way however many watches notice it.

What is known goes on being served while it is not; this only tells.
"""

import logging
import random
import time

import trio

from fastroute.metrics import Metrics
from fastroute.source.kubernetes.client import ApiError

PATIENCE = 2.0  # s that a watch fails until contact counts as lost: one that is cut and made anew is nothing to tell
SPREAD = 1.0  # s over which watches come back when one of them got through

_log = logging.getLogger(__name__)


class Contact:
    """By the names of the watches ("HTTPRoute")."""

    def __init__(self, host: str, metrics: Metrics) -> None:
        self._host, self._metrics = host, metrics
        self._reached = metrics.kubernetes_reached.labels(host)
        self._failing: dict[str, float] = {}  # since when
        self._lost: float | None = None  # since when
        self._ever = False
        self._answered = trio.Event()  # a watch that had failed works again

    @property
    def is_lost(self) -> bool:
        return self._lost is not None

    def heard(self, name: str) -> None:
        """The API server said something."""
        self._metrics.kubernetes_last_heard.labels(_kind(name)).set_to_current_time()
        if not self._ever:
            self._ever = True
            self._reached.set(1)
        self._mend(name)

    def failed(self, name: str, error: ApiError) -> None:
        """A watch ended in an error, or could not be made."""
        self._metrics.kubernetes_errors.labels(_kind(name), error.reason).inc()
        if 0 < error.status < 500 and error.status != 429:
            self._mend(name)  # it answers
            return
        now = time.monotonic()
        since = self._failing.setdefault(name, now)
        if self._lost is None and now - since >= PATIENCE:
            self._lost = since
            self._reached.set(0)
            meanwhile = "what is known goes on being served" if self._ever else "nothing is served before it is"
            _log.warning("the API server %s is not reached: %s; %s", self._host, error, meanwhile)

    async def pause(self, seconds: float) -> None:
        """Sleeps so long, or until the API server answers again some watch that it had not: then the others come
        soon, but not at once."""
        with trio.move_on_after(seconds) as patience:
            await self._answered.wait()
        if not patience.cancelled_caught:
            await trio.sleep(random.uniform(0, min(seconds, SPREAD)))  # noqa: S311

    def forget(self, name: str) -> None:
        """This watch is no more."""
        self._mend(name)

    def _mend(self, name: str) -> None:
        if self._failing.pop(name, None) is None:
            return
        self._answered.set()
        self._answered = trio.Event()
        if self._failing:
            return
        self._reached.set(1)
        if self._lost is not None:
            _log.info("the API server %s is reached again, after %.0f s", self._host, time.monotonic() - self._lost)
        self._lost = None


def _kind(name: str) -> str:
    """Of "Secret team-a/web", "Secret": series stay few."""
    return name.partition(" ")[0]
