"""The table of sides (ext/engine/side): it is complete, and no other code chooses among several sides."""

import re
from pathlib import Path

EXT = Path(__file__).parent.parent.parent / "ext"


def test_every_side_has_a_row() -> None:
    """C would fill a row that is missing with NULL."""
    [sides] = re.findall(
        r"^cdef enum Side:.*\n((?:    .*\n)+)", (EXT / "reactor/connection.pxd").read_text(), re.MULTILINE
    )
    *named, count = re.findall(r"^    (\w+)", sides, re.MULTILINE)
    assert count == "SIDES"
    rows = re.findall(
        r"^SIDE_ROWS\[<int> (\w+)\] = SideRow\((.*)\)$", (EXT / "engine/side.pyx").read_text(), re.MULTILINE
    )
    assert [side for side, _ in rows] == named
    assert {functions.count(",") for _, functions in rows} == {3}


def test_no_chain_of_comparisons_chooses_by_side() -> None:
    chains = re.compile(r"elif \w+\.side [=!]=")
    assert [path.name for path in sorted(EXT.rglob("*.pyx")) if chains.search(path.read_text())] == []
