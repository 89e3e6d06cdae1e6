"""The locks can be installed at any time, from an index that has a newer release of every package, by old and new pip.

Each lock is installed by `.ci/install`, as by `make`, into a new environment.
"""

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packageindex import NEWER, downloaded, served, write_index

ROOT = Path(__file__).parents[2]
RELEASE = (ROOT / ".ci/release.lock").read_text()
[NEWEST] = re.findall(r"^pip==([\w.]+)", RELEASE, re.MULTILINE)

# The oldest are those of Python 3.11.0 and of Debian 12. The hashes of the newest are in the lock.
PIPS = {
    "22.3": ["1daab4b8d3b97d1d763caeb01a4640a2250a0ea899e257b1e44b9eded91e15ab"],
    "23.0": ["b5f88adff801f5ef052bcdef3daa31b55eb67b0fccd6d0106c206fa248e0463c"],
    NEWEST: re.findall(r"sha256:(\w+)", RELEASE.partition(f"\npip=={NEWEST}")[2].partition("# via")[0]),
}

# pip uses only our index, and compiles no bytecode, because the installed files are never imported.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
ENVIRONMENT |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "PIP_NO_COMPILE": "1"}

pytestmark = pytest.mark.timeout(1200)  # wheels may have to be downloaded


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an index with the packages of both locks; test.lock includes those of run.lock."""
    folder = tmp_path_factory.mktemp("index")
    write_index(downloaded(ROOT / ".ci/test.lock"), folder)
    with served(folder) as url:
        yield url


def environment(folder: Path, pip: str) -> Path:
    """The interpreter of a new environment with only this version of pip."""
    lock = folder / "pip.lock"
    lock.write_text(f"pip=={pip} {' '.join(f'--hash=sha256:{one}' for one in PIPS[pip])}\n")
    [wheel] = downloaded(lock).iterdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "new")], check=True)
    [packages] = (folder / "new/lib").glob("python3*/site-packages")
    zipfile.ZipFile(wheel).extractall(packages)
    return folder / "new/bin/python"


def versions(text: str) -> dict[str, str]:
    """Names and versions in the lines `NAME==VERSION` of a lock or of `pip freeze`."""
    return dict(re.findall(r"^([\w-]+)==([\w.]+)", text.lower().replace("_", "-"), re.MULTILINE))


@pytest.mark.parametrize(
    ("pip", "lock"), [("22.3", "test"), ("23.0", "run"), ("23.0", "test"), (NEWEST, "run"), (NEWEST, "test")]
)
def test_a_lock_installs_whatever_was_published_since(pip: str, lock: str, index: str, tmp_path: Path) -> None:
    python = environment(tmp_path, pip)
    path = ROOT / f".ci/{lock}.lock"
    subprocess.run([ROOT / ".ci/install", python, path], env={**ENVIRONMENT, "PIP_INDEX_URL": index}, check=True)
    words = [python, "-m", "pip", "freeze", "--all", "--disable-pip-version-check"]
    said = subprocess.run(words, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout
    installed = versions(said)
    assert installed.pop("pip") == pip
    assert installed
    assert installed.items() <= versions(path.read_text()).items()


def test_pip_that_resolves_fails_at_this_index(index: str, tmp_path: Path) -> None:
    """Shows that the test above would fail with a command that resolves dependencies."""
    python = environment(tmp_path, "23.0")
    words = [python, "-m", "pip", "install", "--require-hashes", "--index-url", index, "-r", ROOT / ".ci/test.lock"]
    ended = subprocess.run(words, env=ENVIRONMENT, check=False, capture_output=True, text=True)
    assert ended.returncode != 0
    assert f"coverage-{NEWER}" in ended.stdout + ended.stderr


def test_a_lock_that_lacks_a_package_is_refused(index: str, tmp_path: Path) -> None:
    """The message names the missing package and the remedy."""
    python = environment(tmp_path, NEWEST)
    lock = tmp_path / "short.lock"
    [wsproto] = re.findall(r"^wsproto==.*\n(?:    .*\n)*", (ROOT / ".ci/run.lock").read_text(), re.MULTILINE)
    lock.write_text(wsproto)
    words = [ROOT / ".ci/install", python, lock]
    ended = subprocess.run(
        words, env={**ENVIRONMENT, "PIP_INDEX_URL": index}, check=False, capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert "requires h11, which is not installed." in ended.stderr
    assert "make lock" in ended.stderr


def test_nothing_else_resolves() -> None:
    """Every use of pip installs without resolving dependencies. Only `make lock` looks for newer releases."""
    files = [path for folder in (".ci", "bench", "tests") for path in (ROOT / folder).rglob("*") if path.is_file()]
    files.append(ROOT / "Dockerfile")
    installs = {
        str(path.relative_to(ROOT)): path.read_text(errors="replace")
        for path in files
        if path.suffix in ("", ".py") and re.search(r"\bpip\b.*\b(install|wheel)\b", path.read_text(errors="replace"))
    }
    assert {".ci/build", ".ci/install", "tests/cluster/programs.py"} <= set(installs)
    assert [name for name, text in installs.items() if "--no-deps" not in text and "--no-index" not in text] == [
        ".ci/lock"
    ]
