"""ExpiryLog: says of the certificates that are served when their time is over, or has not come yet.

They are served all the same: what to do about it is their owner's to decide. Each is said once, as soon as it is so:
when it is loaded, or while it is served (looked at every LOOK seconds; between the turns that costs a comparison).
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

import trio

from fastroute.difference import changed_keys
from fastroute.graph.certificate import CertificateNode, out_of_time

LOOK = 60.0  # s

_log = logging.getLogger(__name__)


class ExpiryLog:
    """`clock`: seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._certificates: Mapping[str, CertificateNode] = {}  # by id
        self._said: dict[str, str] = {}  # by id: what
        self._next = math.inf  # when the next of them begins or ends

    def take(self, certificates: Mapping[str, CertificateNode]) -> None:
        """Those that are served from now on."""
        changed = changed_keys(self._certificates, certificates)
        self._certificates = certificates
        for id_ in sorted(changed):
            self._judge(id_)

    async def run(self) -> NoReturn:
        """Looks at the time, for ever."""
        while True:
            await trio.sleep(LOOK)
            if self._clock() > self._next:
                self._next = math.inf
                for id_ in self._certificates:
                    self._judge(id_)

    def _judge(self, id_: str) -> None:
        node, now = self._certificates.get(id_), self._clock()
        why = out_of_time(node, now) if node is not None else None
        if node is not None:
            self._next = min([self._next, *(turn for turn in (node.not_before, node.not_after) if turn >= now)])
        if why is None:
            self._said.pop(id_, None)
        elif self._said.get(id_) != why:
            self._said[id_] = why
            _log.warning("the certificate of Secret %s %s: it is served, and clients will refuse it", id_, why)
