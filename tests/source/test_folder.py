"""Which files are manifests, and in which order."""

import contextlib
import errno
import os
from pathlib import Path

import pytest

from fastroute.errors import SourceError
from fastroute.source.directory import Directory
from fastroute.source.folder import is_manifest, require
from fastroute.source.walk import scan


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def names(root: Path, *paths: Path) -> list[str]:
    found = scan(paths or (root,))
    order = sorted(found.files, key=found.ranks.__getitem__)
    return [os.path.relpath(path, root) for path in order]


def test_manifests_in_order_hidden_ones_skipped(tmp_path):
    make(
        tmp_path,
        "b.yaml",
        "a/z.yml",
        "a/b/c.json",
        "a.yaml",
        "c/.x.yaml",
        ".git/y.yaml",
        "..d/e.yaml",
        "README.md",
        "x.yaml~",
    )
    assert names(tmp_path) == ["a/b/c.json", "a/z.yml", "a.yaml", "b.yaml"]


def test_the_paths_are_taken_in_the_order_given_and_a_file_whatever_its_name(tmp_path):
    make(tmp_path, "a/x.yaml", "b/y.yaml", "b/plain")
    paths = (tmp_path / "b" / "plain", tmp_path / "b", tmp_path / "a", tmp_path / "b" / "y.yaml")
    assert names(tmp_path, *paths) == ["b/plain", "b/y.yaml", "a/x.yaml"]


def test_what_is_no_file_is_left_out(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    make(tmp_path, "folder.yaml/x.yaml")
    assert names(tmp_path) == ["folder.yaml/x.yaml"]


def test_a_missing_path_is_told(tmp_path):
    assert scan([tmp_path / "no"]).unreadable == {
        str(tmp_path / "no"): "does not exist any more; its objects are still used"
    }
    with pytest.raises(SourceError, match=r"cannot read .*/no: No such file or directory; give a file or folder"):
        require([tmp_path, tmp_path / "no"])


def test_what_can_be_read_once_only_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(SourceError, match=r"cannot read .*/pipe.yaml: neither a file nor a folder"):
        require([tmp_path / "pipe.yaml"])


def test_a_folder_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    make(tmp_path, "a/x.yaml", "b/y.yaml")
    scandir = os.scandir

    def refusing(folder):
        if folder == str(tmp_path / "a"):
            raise PermissionError(errno.EACCES, "no")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    reason = "cannot be read: Permission denied; its content is not known"
    assert scan([tmp_path]).unreadable == {str(tmp_path / "a"): reason}
    assert names(tmp_path) == ["b/y.yaml"]
    source = Directory([tmp_path])
    source.load()
    [problem, _] = source.store.problems
    assert str(problem) == f"{tmp_path}/a: {reason}"


NOBODY = 65534


@contextlib.contextmanager
def as_nobody():
    """Root may read every file, so the test runs as another user."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def test_an_unreadable_path_is_told(tmp_path):
    make(tmp_path, "x.yaml")
    (tmp_path / "x.yaml").chmod(0)
    with as_nobody(), pytest.raises(SourceError, match="Permission denied"):
        require([tmp_path / "x.yaml"])


@pytest.mark.parametrize(
    ("name", "verdict"), [("a.yaml", True), ("a.json", True), (".a.yml", False), ("a.yaml.bak", False)]
)
def test_names(name, verdict):
    assert is_manifest(name) is verdict
