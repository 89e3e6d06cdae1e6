"""The archives of `make release`: helm and kubectl accept them, and the same sources give the same bytes."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from cluster.programs import ROOT, TOOLS, built
from deploy.rendering import KUSTOMIZE, chart, whole, with_components

pytestmark = pytest.mark.timeout(900)  # helm and kubectl are built first
SOURCES = (*(f".ci/{name}" for name in ("archive", "chart", "kustomize", "monitoring")), "deploy", "docs/operate.md")
COMPONENTS = sorted(one.parent.name for one in KUSTOMIZE.glob("*/kustomization.yaml") if one.parent.name != "base")


def copied(folder: Path) -> Path:
    """The sources as another user has them: without rights for others, and written at another time."""
    for name in SOURCES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        else:
            shutil.copy(ROOT / name, folder / name)
    for path in folder.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
        os.utime(path, (1e9, 1e9))
    return folder


def packed(what: str, root: Path, folder: Path, epoch: str | None = None, umask: int = 0o022) -> Path:
    folder.mkdir()
    arguments = [folder, built(TOOLS) / "helm"] if what == "chart" else [folder / "packed.tgz"]
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    if epoch is not None:
        environment["SOURCE_DATE_EPOCH"] = epoch
    subprocess.run([root / ".ci" / what, *arguments], check=True, env=environment, umask=umask)
    [archive] = folder.iterdir()
    return archive


def times(archive: Path) -> set[float]:
    with tarfile.open(archive) as files:
        return {one.mtime for one in files}


@pytest.mark.parametrize("what", ["chart", "kustomize", "monitoring"])
def test_the_same_sources_give_the_same_bytes(what: str, tmp_path: Path) -> None:
    here = packed(what, ROOT, tmp_path / "here")
    there = packed(what, copied(tmp_path / "sources"), tmp_path / "there", umask=0o077)
    assert (here.name, here.read_bytes()) == (there.name, there.read_bytes())
    assert times(here) == {0}  # two packings within a second have the same time by chance
    assert times(packed(what, ROOT, tmp_path / "dated", epoch="1700000000")) == {1_700_000_000}


def test_helm_reads_the_archive_as_the_chart(tmp_path: Path) -> None:
    switches = ("--set=autoscaling.enabled=true", "--set=networkPolicy.enabled=true")
    assert chart(*switches, source=packed("chart", ROOT, tmp_path / "packed")) == chart(*switches)


def test_kubectl_reads_the_archive_as_the_base_with_all_components(tmp_path: Path) -> None:
    with tarfile.open(packed("kustomize", ROOT, tmp_path / "packed")) as files:
        files.extractall(tmp_path, filter="data")
    unpacked = tmp_path / "fastroute-kustomize"
    assert whole(unpacked) == whole()
    for number, component in enumerate(COMPONENTS):
        ours, theirs = (tmp_path / f"{name}{number}" for name in ("ours", "theirs"))
        ours.mkdir()
        theirs.mkdir()
        assert with_components(theirs, component, source=unpacked) == with_components(ours, component)
