"""A `fastroute serve` under load: its processes, memory and descriptors over time, and how it ended."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import trio

from bench.peers import free_port
from bench.process import resident_bytes, tree

SANITIZER = re.compile(rb"AddressSanitizer|LeakSanitizer|runtime error:")
ENDED = re.compile(rb"worker \d+ ended: ")
SPARE = 8  # descriptors that may remain
STARTS = 60.0  # seconds


class Sample(NamedTuple):
    """The main process, then its children."""

    kib: tuple[int, ...]  # resident memory
    files: tuple[int, ...]  # descriptors


class Server:
    """`offset` is added to the port of each listener."""

    def __init__(self, name: str, manifests: Path, offset: int, *options: str) -> None:
        self.log = manifests.with_suffix(f".{name}.log")
        self.access_log = manifests.with_suffix(f".{name}.jsonl")
        self._metrics = free_port()
        words = ["serve", "--manifests", str(manifests), "--port-offset", str(offset), *options]
        words += ["--metrics", f"127.0.0.1:{self._metrics}", "--health", "off", "--access-log", str(self.access_log)]
        words += ["--udp-idle-timeout", "10s"]  # so that the flows have ended when the descriptors are counted
        words += ["--connect-timeout", "15s"]  # includes the handshakes of backends in Python on a busy machine
        with self.log.open("wb") as log:
            self._process = subprocess.Popen([sys.executable, "-P", "-m", "fastroute", *words], stdout=log, stderr=log)
        self.samples: list[Sample] = []
        self.exit_code: int | None = None

    async def wait_ready(self) -> None:
        with trio.fail_after(STARTS):
            while self.lives:
                try:
                    async with await trio.open_tcp_stream("127.0.0.1", self._metrics) as stream:
                        await stream.send_all(b"GET /readyz HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n")
                        if b" 200 " in await stream.receive_some(100):
                            return
                except OSError:
                    pass
                await trio.sleep(0.1)
        raise SystemExit("the server exited before it was ready")

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def sample(self) -> None:
        if self.lives:
            self.samples.append(self._sampled())

    def _sampled(self) -> Sample:
        pids = tuple(tree(self._process.pid))
        files = tuple(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)
        return Sample(tuple(resident_bytes(pid) >> 10 for pid in pids), files)

    async def settle(self) -> None:
        """Waits until the descriptors of the load are closed."""
        while self.lives and self._left(self._sampled()) > 0:  # noqa: ASYNC110 (no event reports it)
            await trio.sleep(0.5)

    async def stop(self) -> None:
        lived = self.lives
        self._process.send_signal(signal.SIGTERM)
        code = await trio.to_thread.run_sync(self._process.wait, 60)
        self.exit_code = code if lived else code or -1

    # --- the result

    def _left(self, now: Sample) -> int:
        """Descriptors that a process has in addition to the first sample, without SPARE."""
        return max(0, *(have - had - SPARE for have, had in zip(now.files, self.samples[0].files, strict=False)))

    def _growth(self) -> int:
        """KiB that a process grew after the first quarter."""
        early, late = self.samples[len(self.samples) // 4], self.samples[-1]
        return max(now - before for now, before in zip(late.kib, early.kib, strict=False))

    def faults(self, growth: int) -> list[str]:
        """`growth`: the allowed growth of memory in KiB."""
        text = self.log.read_bytes()
        found = {
            "a worker ended": bool(ENDED.search(text)),
            "exit code": self.exit_code != 0,
            "sanitizer": bool(SANITIZER.search(text)),
            "memory": self._growth() > growth,
            "descriptors": self._left(self.samples[-1]) > 0,
        }
        return [name for name, is_so in found.items() if is_so]

    def report(self) -> dict[str, object]:
        shown = self.samples[:: max(1, len(self.samples) // 12)]
        most = tuple(map(max, zip(*(each.files for each in self.samples), strict=False)))
        return {
            "resident KiB over time (main, children)": [str(each.kib) for each in shown],
            "growth in KiB after the first quarter": self._growth(),
            "descriptors before, most, after": str((self.samples[0].files, most, self.samples[-1].files)),
            "exit code": self.exit_code,
            "log": str(self.log),
        }
