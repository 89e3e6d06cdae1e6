"""A build with the packages of dashboard/package-lock.json gives the files that are in the package."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LOCK = json.loads((ROOT / "dashboard/package-lock.json").read_text())


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm: sudo apt-get install -y npm")
def test_a_build_gives_the_same_files() -> None:
    done = subprocess.run([ROOT / ".ci/dashboard", "--check"], capture_output=True, text=True, check=False, timeout=110)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_package_is_locked_with_a_digest() -> None:
    packages = {name: one for name, one in LOCK["packages"].items() if name}
    assert [name for name, one in packages.items() if not one["integrity"].startswith("sha512-")] == []
    wanted = json.loads((ROOT / "dashboard/package.json").read_text())
    versions = {**wanted["dependencies"], **wanted["devDependencies"]}
    assert {name: LOCK["packages"][f"node_modules/{name}"]["version"] for name in versions} == versions
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions.values())


def test_only_one_package_is_in_the_page_and_its_licence_is_beside_it() -> None:
    assert list(json.loads((ROOT / "dashboard/package.json").read_text())["dependencies"]) == ["preact"]
    assert LOCK["packages"]["node_modules/preact"]["license"] == "MIT"
    assert "MIT" in (ROOT / "fastroute/admin/page/LICENSE.preact").read_text()
