"""Programs started by a test: writes their output to a file, waits until they are ready, and always ends them."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class NotReadyError(Exception):
    """A program did not become ready; the message ends with its last output."""


class Program:
    """One running program. `words`: its command line; `log`: the file that receives all its output."""

    def __init__(self, words: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.name = Path(words[0]).name
        self.log = log
        self._begin = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                list(words),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def said(self) -> str:
        """All output so far."""
        with self.log.open("rb") as file:
            file.seek(self._begin)
            return file.read().decode(errors="replace")

    def wait_for(self, ready: Callable[[], bool], seconds: float = 240.0) -> None:
        """Returns when `ready()` is true. Raises NotReadyError if the program ends before that, or on timeout."""
        end = time.monotonic() + seconds
        while not ready():
            if self.popen.poll() is not None or time.monotonic() > end:
                why = "exited" if self.popen.poll() is not None else f"was not ready after {seconds:.0f} s"
                raise NotReadyError(f"{self.name} {why}:\n" + "\n".join(self.said().splitlines()[-20:]))
            time.sleep(0.02)

    def says(self, line: str) -> Callable[[], bool]:
        """A condition for `wait_for`: whether the program wrote this line."""
        return lambda: line in self.said().splitlines()

    def end(self, seconds: float = 40.0) -> int:
        """Sends SIGTERM, kills the program after `seconds`, and returns its exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                return self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        return self.popen.wait()

    def kill(self) -> None:
        """Kills the program, as a power failure would."""
        self.popen.kill()
        self.popen.wait()
