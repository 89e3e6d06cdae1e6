"""Writes the results of a run to bench/README.md, between two marks, with the environment they were measured in."""

import io
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from fastroute.text import Block, write_page

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"


def write_results(blocks: Iterable[Block]) -> None:
    """Replaces the text between the marks."""
    page = io.StringIO()
    write_page(blocks, page)
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{_taken_on()}\n\n```text\n{page.getvalue().rstrip()}\n```\n{END}{after}")


def _taken_on() -> str:
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    programs = (("nginx", "-v"), ("haproxy", "-v"))
    versions = [found for program in programs if (found := _version(*program))]
    machine = (
        f"{model[1] if model else platform.machine()}, {len(os.sched_getaffinity(0))} CPUs, Linux {platform.release()}"
    )
    others = ", ".join([f"Python {platform.python_version()}", *versions])
    return f"One run of {datetime.now(UTC):%Y-%m-%d}: {machine}; {others}."


def _version(*command: str) -> str | None:
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    found = re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)
    return f"{command[0]} {found[0]}" if found else None
