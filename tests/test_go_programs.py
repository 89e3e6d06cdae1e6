"""The Go programs of tests are built once, also if several processes need them at the same time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cluster import programs
from cluster.programs import Module, Program, built

# Records what it builds. It takes a while, so that two builds at the same time would both be recorded.
GO = """#!/bin/sh
if [ "$1" = env ]; then echo go1.99.0; exit; fi
echo "$*" >> "$RECORD"
sleep 0.2
while [ "$1" != -o ]; do shift; done
echo program > "$2"
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/go").write_text(GO)
    (tmp_path / "bin/go").chmod(0o755)
    (tmp_path / "source").mkdir()
    (tmp_path / "source/go.mod").write_text("module example.com/one\n\ngo 1.24\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("RECORD", str(tmp_path / "record"))
    monkeypatch.setattr(programs, "CACHE", tmp_path / "cache")
    return Module("one", tmp_path / "source", (Program("first", "./first"),))


def test_a_module_is_built_once(module: Module, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        folders = set(threads.map(built, [module] * 4))
    [folder] = folders
    assert (folder / "first").read_text() == "program\n"
    assert len((tmp_path / "record").read_text().splitlines()) == 1


def test_a_changed_module_is_built_again(module: Module, tmp_path: Path) -> None:
    before = built(module)
    (module.folder / "main.go").write_text("package main\n")
    assert built(module) != before
    assert len((tmp_path / "record").read_text().splitlines()) == 2


def test_what_a_build_that_was_killed_left_is_not_used(module: Module, tmp_path: Path) -> None:
    folder = built(module)
    folder.rename(folder.with_name(f"{folder.name}.new"))
    (folder.with_name(f"{folder.name}.new") / "first").write_text("half")
    assert (built(module) / "first").read_text() == "program\n"
    assert not folder.with_name(f"{folder.name}.new").exists()
