"""The memory of the counters of a worker slot: a memfd that outlives the workers of the slot."""

import fcntl
import os
from typing import NamedTuple

from fastroute.ext.reactor.counters import CounterMap, map_size

# More slots than series: most rules never count anything, and memory that is never touched costs nothing.
_REQUEST_SLOTS = 16_384
_HISTOGRAMS = 16_384  # of routes and of backends, half each


class CounterMemory(NamedTuple):
    """The memfd for the workers of the slot, and the main process's own mapping of it."""

    fd: int
    counters: CounterMap

    def close(self) -> None:
        """Closes the memfd; existing mappings stay valid."""
        os.close(self.fd)


def counter_memory(series: int) -> CounterMemory:
    """Memory with slots for at least `series` series of each family. It is sealed and cannot shrink under a reader."""
    requests, histograms = max(_REQUEST_SLOTS, 2 * series), max(_HISTOGRAMS, 4 * series)
    fd = os.memfd_create("fastroute-counters", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, map_size(requests, histograms))
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return CounterMemory(fd, CounterMap(fd, requests=requests, histograms=histograms))
