"""Prints the overview of a gateway, once or again and again (`fastroute status --watch`).

On a terminal, each overview replaces the one before. In a pipe, overviews follow each other; in JSON, one per line.
"""

import sys
import time
from collections.abc import Callable
from enum import Enum
from typing import TextIO

import msgspec

from fastroute.asking import Asker, AskingError
from fastroute.overview import overview_page
from fastroute.text import Line, write_page
from fastroute.view.answers import Overview

PERIOD = 2.0  # seconds
CLEAR = "\x1b[H\x1b[2J\x1b[3J"  # the cursor to the top left, the screen and what was scrolled out of it


class Printed(Enum):
    text = "text"
    json = "json"


def show_once(asker: Asker, printed: Printed, stream: TextIO | None = None) -> None:
    """Raises AskingError."""
    stream = stream or sys.stdout
    found = asker.overview()
    if printed is Printed.json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode(), file=stream)
    else:
        write_page(overview_page(found), stream)


def show_again(
    asker: Asker, printed: Printed, stream: TextIO | None = None, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Until Ctrl-C. Raises AskingError if the first question is not answered; later, it says so and asks again."""
    stream = stream or sys.stdout
    try:
        _show(asker.overview(), printed, stream)
        while True:
            sleep(PERIOD)
            try:
                found = asker.overview()
            except AskingError as error:
                _complain(error, printed, stream)
            else:
                _show(found, printed, stream)
    except KeyboardInterrupt:
        return


def _show(found: Overview, printed: Printed, stream: TextIO) -> None:
    if printed is Printed.json:
        print(msgspec.json.encode(found).decode(), file=stream, flush=True)
        return
    print(CLEAR if stream.isatty() else "", end="" if stream.isatty() else "\n", file=stream)
    write_page(overview_page(found), stream)


def _complain(error: AskingError, printed: Printed, stream: TextIO) -> None:
    """In JSON, standard output has overviews only."""
    if printed is Printed.json:
        print(f"fastroute: {error}", file=sys.stderr, flush=True)
    else:
        write_page([Line(str(error), "yellow")], stream)
