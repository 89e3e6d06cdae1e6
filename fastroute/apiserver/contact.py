"""Contact: whether the API server is reached; each change is logged once, however many watches notice it.

What is known is still served while the API server is not reached; this class only reports.
"""

import logging
import random
import time

import trio

from fastroute.apiserver.client import ApiError
from fastroute.metrics import Metrics

PATIENCE = 2.0  # s for which a watch must fail before the contact is lost: a quick reconnect is not logged
SPREAD = 1.0  # s over which the other watches reconnect after the first one succeeded

_log = logging.getLogger(__name__)


class Contact:
    """The state of each watch, by its name ("HTTPRoute")."""

    def __init__(self, host: str, metrics: Metrics) -> None:
        self._host, self._metrics = host, metrics
        self._reached = metrics.kubernetes_reached.labels(host)
        self._failing: dict[str, float] = {}  # since when, by watch
        self._lost: float | None = None  # since when
        self._ever = False
        self._answered = trio.Event()  # set when a watch that had failed works again

    @property
    def is_lost(self) -> bool:
        return self._lost is not None

    def heard(self, name: str) -> None:
        """The API server sent something."""
        self._metrics.kubernetes_last_heard.labels(_kind(name)).set_to_current_time()
        if not self._ever:
            self._ever = True
            self._reached.set(1)
        self._mend(name)

    def failed(self, name: str, error: ApiError) -> None:
        """A watch ended with an error, or could not be opened."""
        self._metrics.kubernetes_errors.labels(_kind(name), error.reason).inc()
        if 0 < error.status < 500 and error.status != 429:
            self._mend(name)  # the server answers
            return
        now = time.monotonic()
        since = self._failing.setdefault(name, now)
        if self._lost is None and now - since >= PATIENCE:
            self._lost = since
            self._reached.set(0)
            meanwhile = (
                "the last known state is still served" if self._ever else "nothing is served until it is reached"
            )
            _log.warning("the API server %s cannot be reached: %s; %s", self._host, error, meanwhile)

    async def pause(self, seconds: float) -> None:
        """Sleeps for this time, or until another watch that had failed works again; then for a random part of SPREAD,
        so that the watches do not reconnect all at once."""
        with trio.move_on_after(seconds) as patience:
            await self._answered.wait()
        if not patience.cancelled_caught:
            await trio.sleep(random.uniform(0, min(seconds, SPREAD)))  # noqa: S311

    def forget(self, name: str) -> None:
        """The watch was removed."""
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
            _log.info("the API server %s is reachable again after %.0f s", self._host, time.monotonic() - self._lost)
        self._lost = None


def _kind(name: str) -> str:
    """ "Secret" for "Secret team-a/web": it keeps the number of series small."""
    return name.partition(" ")[0]
