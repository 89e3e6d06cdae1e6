"""ExpiryLog: logs served certificates that have expired or are not yet valid.

They are still served: their owner decides what to do. Each is logged once: when it is loaded, or when it expires while
it is served (checked every LOOK seconds; a check costs one comparison unless a certificate is due).
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
        self._said: dict[str, str] = {}  # by id: the reason that was logged
        self._next = math.inf  # the next time at which a certificate becomes valid or expires

    def take(self, certificates: Mapping[str, CertificateNode]) -> None:
        """`certificates`: the ones that are served from now on."""
        changed = changed_keys(self._certificates, certificates)
        self._certificates = certificates
        for id_ in sorted(changed):
            self._judge(id_)

    async def run(self) -> NoReturn:
        """Checks the time periodically, until cancelled."""
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
            self._next = min([self._next, *(date for date in (node.not_before, node.not_after) if date >= now)])
        if why is None:
            self._said.pop(id_, None)
        elif self._said.get(id_) != why:
            self._said[id_] = why
            refusing = "clients, or the backends to which a Gateway shows it, will refuse it"
            _log.warning("the certificate of Secret %s %s: still used, but %s", id_, why, refusing)
