"""Runs every input in seeds/, including earlier findings, with the built modules: no property may be broken.

Needs no clang. `.ci/sanitize tests/fuzz` runs the same inputs with AddressSanitizer.
"""

import importlib
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from building import built
from fuzz import frames

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
COMPILED = ("request", "response", "chunked", "preface", "hello", "control", "path", "routes", "http2")
PUBLICATION = "publication"
SEEDS = sorted(path for path in (HERE / "seeds").rglob("*") if path.is_file())


@pytest.fixture(scope="session")
def replay() -> Callable[[str, bytes], str | None]:
    """Builds the targets if they changed."""
    built("fuzz", "build/replay")
    targets = importlib.import_module("fuzz.targets")
    assert targets.NAMES == COMPILED

    def run(target: str, data: bytes) -> str | None:
        broken: str | None = frames.replay(data) if target == PUBLICATION else targets.replay(target, data)
        return broken

    return run


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_no_property_is_broken(replay: Callable[[str, bytes], str | None], path: Path) -> None:
    assert replay(path.parent.name, path.read_bytes()) is None


@pytest.mark.parametrize("target", [*COMPILED, PUBLICATION])
def test_nor_by_a_few_changes_of_them(replay: Callable[[str, bytes], str | None], target: str) -> None:
    """The same changes in every run."""
    drawn = random.Random(1)
    known = [path.read_bytes() for path in SEEDS if path.parent.name == target]
    for _ in range(2000):
        changed = frames.mutate(drawn.choice(known), known, drawn)
        assert replay(target, changed) is None, changed


def test_every_target_has_seeds_and_is_run() -> None:
    script = re.search(r"^all=\((.*)\)$", (ROOT / ".ci/fuzz").read_text(), re.MULTILINE)
    assert script is not None
    assert script[1].split() == [*COMPILED, PUBLICATION]
    assert {path.parent.name for path in SEEDS} == {*COMPILED, PUBLICATION}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["0"], "MINUTES must be a whole number from 1, not '0'"),
        (["1", "nothing"], "no target 'nothing'; there are: request response"),
        (["replay", "path"], "usage: .ci/fuzz MINUTES"),
    ],
)
def test_a_wrong_call_says_what_is_right(words: list[str], said: str) -> None:
    ended = subprocess.run([ROOT / ".ci/fuzz", *words], text=True, capture_output=True, check=False, timeout=60)
    assert (ended.returncode, said in ended.stderr) == (2, True)
