"""The output of commands: a page of blocks, for a terminal (Rich: colours, tables) or a pipe (plain text).

Output to a pipe is not wrapped, shortened or coloured, so that it can be searched and YAML blocks can be piped on.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

import msgspec

from fastroute.visible import visible, visible_lines


class Line(msgspec.Struct, frozen=True):
    """A paragraph. `style` is Rich's: "bold", "red"."""

    text: str
    style: str = ""


class Table(msgspec.Struct, frozen=True):
    """Rows with headings; on a terminal the last column wraps."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    styles: tuple[str, ...] = ()  # one for each row


class Yaml(msgspec.Struct, frozen=True):
    """A document to copy: never wrapped or indented, not even on a terminal."""

    text: str


Block = Line | Table | Yaml


def write_page(blocks: Iterable[Block], stream: TextIO | None = None) -> None:
    """Prints the blocks, with an empty line between any two that are not both lines."""
    stream = stream or sys.stdout
    writer = _write_rich if stream.isatty() else _write_plain
    before: Block | None = None
    for block in blocks:
        if before is not None and not (isinstance(before, Line) and isinstance(block, Line)):
            print(file=stream)
        writer(block, stream)
        before = block
    stream.flush()


def _write_plain(block: Block, stream: TextIO) -> None:
    if isinstance(block, Table):
        stream.writelines(f"{line}\n" for line in _columns(block))
    else:
        print(_safe(block), file=stream)


def _safe(block: Line | Yaml) -> str:
    """Its text without control characters of users."""
    return visible(block.text) if isinstance(block, Line) else visible_lines(block.text.rstrip("\n"))


def _columns(table: Table) -> Iterable[str]:
    """Columns as wide as their widest cell; a cell is one line."""
    rows: list[Sequence[str]] = [
        table.headings,
        *(tuple(visible(" ".join(cell.split())) for cell in row) for row in table.rows),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.headings))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _write_rich(block: Block, stream: TextIO) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console(file=stream)
    if isinstance(block, Line):
        console.print(Text(_safe(block), style=block.style))
    elif isinstance(block, Yaml):
        for line in _safe(block).split("\n"):
            console.print(Text(line, style="dim" if line.lstrip().startswith("#") else "cyan"), soft_wrap=True)
    else:
        shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in block.headings:
            last = heading == block.headings[-1]
            shown.add_column(heading, overflow="fold", no_wrap=not last and len(block.headings) < 4)
        for index, row in enumerate(block.rows):
            shown.add_row(*map(Text, map(visible, row)), style=block.styles[index] if block.styles else "")
        console.print(shown)
