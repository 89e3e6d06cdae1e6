"""The CA certificates of the operating system: which files are read, and whether there are any."""

from pathlib import Path

import pytest
from graph.secrets import chain

from fastroute.settings import ServeSettings
from fastroute.worker import anchors
from fastroute.worker.anchors import has_system_anchors, system_anchors

CA, OTHER = chain("ca"), chain("other", number=1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """For SSL_CERT_DIR; there are no other CA certificates."""
    monkeypatch.setattr(anchors, "_USUAL", ())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "file"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "folder"))
    return tmp_path / "folder"


def test_a_machine_without_any(folder: Path) -> None:
    assert not has_system_anchors()
    folder.mkdir()
    assert not has_system_anchors()
    (folder / "readme").write_bytes(b"no certificate")
    (folder.parent / "file").write_bytes(b"")
    assert not has_system_anchors()


def test_those_that_variables_name(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.pem").write_bytes(CA)
    (folder / "a.0").symlink_to("a.pem")
    assert system_anchors() == CA
    (folder.parent / "file").write_bytes(OTHER)
    assert system_anchors() == OTHER + CA
    assert has_system_anchors()


def test_serve_knows_whether_there_are_any(folder: Path) -> None:
    from fastroute.app import _on_this_machine

    assert not _on_this_machine(ServeSettings()).graph.system_anchors
    (folder.parent / "file").write_bytes(CA)
    assert _on_this_machine(ServeSettings()).graph.system_anchors
