"""Output pages: plain text in a pipe, tables on a terminal."""

import io

import pytest

from fastroute.text import Block, Line, Table, Yaml, write_page

LONG = "a message of many words " * 20


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(*blocks: Block, stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    write_page(blocks, stream)
    return stream.getvalue()


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    table = Table(("A", "LONGER", "C"), (("1", "2", "3"), ("1111", "2", "")))
    assert written(table) == "A     LONGER  C\n1     2       3\n1111  2\n"


def test_nothing_is_cut_or_wrapped_in_a_pipe() -> None:
    assert LONG.strip() in written(Table(("A", "B"), (("x", LONG),)))
    assert written(Line(LONG)) == f"{LONG}\n"


def test_a_cell_is_one_line_in_a_pipe() -> None:
    assert written(Table(("A",), (("one\n  two",),))) == "A\none two\n"


def test_blocks_stand_apart_and_lines_together() -> None:
    assert written(Line("1"), Line("2"), Yaml("a: 1\n"), Line("3")) == "1\n2\n\na: 1\n\n3\n"


def test_yaml_can_be_copied_from_a_terminal_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    lines = written(Yaml("spec:\n  to: x\n"), stream=Terminal()).splitlines()
    assert [line.rstrip() for line in lines] == ["spec:", "  to: x"]


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = written(Table(("A", "B"), (("x", "y"),), ("red",)), Line("bold", "bold"), stream=Terminal())
    assert "\x1b[31m" in shown
    assert "\x1b[1m" in shown


def test_nothing_that_users_write_is_markup() -> None:
    assert "[red]x" in written(Line("[red]x"), Table(("A",), (("[red]x",),)), stream=Terminal())


@pytest.mark.parametrize("block", [Line("a\nb\x1b[2J"), Table(("A",), (("a\nb\x1b[2J",),)), Yaml("a: b\x1b[2J\n")])
def test_control_characters_of_users_are_escaped(block: Block) -> None:
    assert all(line.isprintable() for line in written(block).split("\n"))
