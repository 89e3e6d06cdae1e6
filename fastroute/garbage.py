"""Garbage: garbage collections of the main process that stop it only for milliseconds.

A collection of the oldest generation scans all objects. With 20,000 Services it stops the process for 200 ms, and while
such a file is decoded there are ten of them. But what is kept (objects of users, the results of the stages) contains no
cycles, and reference counting frees it. So after `begin`, Python collects only young objects by itself. Those that
survive are frozen: no later collection scans them. `run` scans everything, frozen objects as well, every PAUSE at most
and when the process is idle, because connections and the like may be parts of cycles.
"""

import gc
import time
from typing import Any, NoReturn

import trio
from trio.testing import wait_all_tasks_blocked

YOUNG, YOUNG_COLLECTIONS = 1_000, 10  # new objects before the youngest ones, and all young ones, are collected
NEVER = 2**31 - 1  # collections of all young objects, before Python collects all objects by itself
PAUSE = 600.0  # s between two collections of everything
SHARE = 0.001  # of the time, which these may take
IDLE = 0.25  # s in which no task runs; a task of the main loop runs twice a second (admin/pulse.py)
PATIENCE = 60.0  # s that `run` waits for that


def begin() -> None:
    """Bounds the collections of this process from now on."""
    gc.set_threshold(YOUNG, YOUNG_COLLECTIONS, NEVER)
    if _freeze_survivors not in gc.callbacks:
        gc.callbacks.append(_freeze_survivors)
    gc.freeze()


async def run() -> NoReturn:
    """Collects everything from time to time."""
    pause = PAUSE
    while True:
        await trio.sleep(pause)
        with trio.move_on_after(PATIENCE):
            await wait_all_tasks_blocked(IDLE)
        pause = max(PAUSE, collect_all() / SHARE)


def collect_all() -> float:
    """Frees all cycles that are not used any more. Returns how long that took, in seconds."""
    began = time.perf_counter()
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    return time.perf_counter() - began


def _freeze_survivors(phase: str, info: dict[str, Any]) -> None:
    if phase == "stop" and info["generation"] == 1:
        gc.freeze()
