from collections.abc import Sequence
from typing import NamedTuple

from fastroute.ext.accesslog import AccessLog
from fastroute.ext.counters import CounterMap
from fastroute.ext.tables import Tables, Upstreams
from fastroute.settings import Limits

class EngineStatistics(NamedTuple):
    downstream_active: int
    downstream_idle: int
    upstream_active: int
    upstream_idle: int
    exchanges: int
    listeners: int
    turns: int
    worst_turn: int
    drained: bool
    mirrors_behind: int
    waits: int

class Engine:
    def __init__(
        self,
        *,
        limits: Limits,
        upstreams: Upstreams,
        counters: CounterMap,
        log: AccessLog | None,
        trusted_proxies: Sequence[str],
        proxy_protocol: bool = False,
        merge_slashes: bool = False,
        keep_underscores: bool = False,
        installation: str = "",
        seed: int | None = None,
    ) -> None: ...
    def fileno(self) -> int: ...
    def turn(self) -> bool: ...
    def listen(self, fd: int, address: str, port: int) -> None: ...
    def unlisten(self, address: str, port: int, fd: int = -1) -> None: ...
    def install(self, tables: Tables) -> None: ...
    def heed(self, fd: int) -> None: ...
    def hurry(self) -> None: ...
    def wake(self) -> None: ...
    def hold_clock(self, look: float = 0) -> None: ...
    def advance(self, seconds: float) -> None: ...
    def announce_drain(self) -> None: ...
    def drain(self) -> None: ...
    def statistics(self) -> EngineStatistics: ...
    def close(self) -> None: ...
