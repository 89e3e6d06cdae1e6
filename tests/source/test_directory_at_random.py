"""After any sequence of operations on a folder, a Directory that watched them equals one that reads the folder
afterwards."""

import random
import shutil
from pathlib import Path

import pytest
import trio
from resources.manifests import GATEWAY, HTTP_ROUTE, SERVICE

from fastroute.source import directory
from fastroute.source.directory import Directory

OPERATIONS = 60
PATIENCE = 60.0  # s, for operations that take milliseconds
NAMES = ("a.yaml", "b.yaml", "c.json", "d.yml", ".e.yaml", "f.txt")
FOLDERS = (".", "x", "x/y", "z", ".h", "../out")


class Chaos:
    """Random operations on the folder `root`; impossible ones do nothing."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.random = random.Random(seed)
        self.operations = (
            *(self.write,) * 6,
            *(self.replace,) * 3,
            *(self.remove, self.rename, self.make_folder, self.link, self.rename_folder, self.remove_folder) * 2,
        )

    def go(self) -> None:
        try:
            self.random.choice(self.operations)()
        except (OSError, shutil.Error):
            return

    def folder(self) -> Path:
        return self.root / self.random.choice(FOLDERS)

    def file(self) -> Path:
        return self.folder() / self.random.choice(NAMES)

    def text(self) -> str:
        documents = self.random.sample([GATEWAY, SERVICE, *map(route, "abcdef")], self.random.randint(0, 4))
        return "---\n".join(text.replace("8080", str(self.random.randint(1, 9))) for text in documents)

    def write(self) -> None:
        self.file().write_text(self.text())

    def replace(self) -> None:
        new = self.folder() / "new"
        new.write_text(self.text())
        new.rename(self.file())

    def remove(self) -> None:
        self.file().unlink()

    def rename(self) -> None:
        self.file().rename(self.file())

    def make_folder(self) -> None:
        self.folder().mkdir(parents=True)

    def link(self) -> None:
        self.file().symlink_to(self.random.choice((self.file(), self.folder())))

    def rename_folder(self) -> None:
        folder = self.folder()
        if not folder.samefile(self.root):
            folder.rename(self.folder())

    def remove_folder(self) -> None:
        folder = self.folder()
        if not folder.samefile(self.root):
            shutil.rmtree(folder)


def route(name: str) -> str:
    return HTTP_ROUTE.replace("name: fruits", f"name: {name}")


def contents(followed: Directory) -> tuple:
    """Its objects, problems and warnings; without line numbers, which are not updated for documents that only moved."""
    resources = followed.store.snapshot()
    kinds = list(resources.kinds)
    held = [
        (key, item.origin and item.origin.file, getattr(item, "spec", None))
        for kind in kinds
        for key, item in sorted(kind.items())  # new routes and Services are appended
    ]
    return held, followed.store.problems, followed.store.warnings


def read_anew(root: Path) -> tuple:
    anew = Directory([root])
    anew.load()
    return contents(anew)


@pytest.mark.parametrize("at_once", [directory.AT_ONCE, 0.0], ids=["at once", "apart"])
@pytest.mark.parametrize("seed", range(8))
async def test_it_is_as_one_that_reads_the_folder_now(tmp_path, monkeypatch, seed, at_once):
    monkeypatch.setattr(directory, "AT_ONCE", at_once)
    root = tmp_path / "in"
    root.mkdir()
    chaos = Chaos(root, seed)
    followed = Directory([root])
    followed.load()
    async with trio.open_nursery() as nursery:
        passed = trio.Event()

        def note(noticed: float) -> None:
            passed.set()

        nursery.start_soon(followed.watch, note)
        for _ in range(OPERATIONS):
            chaos.go()
            await trio.sleep(chaos.random.choice((0, 0, 0.001, 0.004, 0.02)))
        expected = read_anew(root)
        with trio.move_on_after(PATIENCE):
            while contents(followed) != expected:
                passed = trio.Event()
                await passed.wait()
        assert contents(followed) == expected
        nursery.cancel_scope.cancel()
