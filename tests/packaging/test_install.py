"""`pip install` of a wheel and of the source tree each give a working `fastroute`, in a virtual environment of its own.

Dependencies come from the environment that runs the tests (a .pth file), so that only our own package is installed and
the test needs no network; that the metadata names every dependency is tested by itself.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PARTS = ("fastroute", "ext", "examples", "setup.py", "pyproject.toml", "README.md", "LICENSE")
BUILT = ("*.so", "*.c", "*.cpp", "__pycache__")

pytestmark = pytest.mark.timeout(900)  # all modules are compiled


def run(*command: str | Path, cwd: Path | None = None) -> str:
    ended = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{command}:\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source tree as a checkout has it: nothing built."""
    tree = tmp_path_factory.mktemp("tree")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, tree / part, symlinks=True, ignore=shutil.ignore_patterns(*BUILT))
        else:
            shutil.copy(source, tree / part)
    return tree


@pytest.fixture(scope="session")
def wheel(tree: Path) -> Path:
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tree / "dist", tree)
    [wheel] = (tree / "dist").glob("*.whl")
    return wheel


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """The `bin` folder of a new environment that sees our dependencies, and not our source."""
    run(sys.executable, "-m", "venv", tmp_path / "clean")
    python = tmp_path / "clean" / "bin" / "python"
    run(python, "-m", "pip", "uninstall", "--yes", "setuptools")  # in Python 3.11 an old one, before that of the .pth
    [packages] = (tmp_path / "clean" / "lib").glob("python3*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return tmp_path / "clean" / "bin"


def assert_works(clean: Path, place: Path) -> None:
    assert run(clean / "fastroute", "--version", cwd=place).startswith("fastroute ")
    where = run(clean / "python", "-c", "import fastroute; print(fastroute.__file__)", cwd=place)
    assert where.startswith(str(clean.parent)), where
    run(clean / "python", "-m", "fastroute", "check", ROOT / "examples" / "cross-namespace", cwd=place)
    assert "Every number is as it should be." in run(clean / "fastroute", "demo", "--once", cwd=place)


def test_a_wheel_works(wheel: Path, clean: Path, tmp_path: Path) -> None:
    run(clean / "python", "-m", "pip", "install", "--no-deps", "--no-index", wheel)
    assert_works(clean, tmp_path)


def test_the_source_tree_works(tree: Path, wheel: Path, clean: Path, tmp_path: Path) -> None:
    """After the wheel, whose objects it takes again."""
    run(clean / "python", "-m", "pip", "install", "--no-deps", "--no-index", "--no-build-isolation", tree)
    assert_works(clean, tmp_path)


def test_what_a_wheel_holds(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    compiled = {re.sub(r"\..*", "", Path(name).name) for name in names if name.endswith(".so")}
    assert compiled == {path.stem for path in (ROOT / "ext").glob("*.pyx")}
    assert "fastroute/py.typed" in names
    assert "fastroute/ext/tables.pyi" in names
    assert "fastroute/demo/examples/cross-namespace/grants/bananas.yaml" in names
    assert not [name for name in names if name.startswith(("tests/", "bench/", "ext/"))]
    modules = {
        str(path.relative_to(ROOT)) for path in (ROOT / "fastroute").rglob("*.py") if "examples" not in path.parts
    }
    assert modules <= set(names)


def test_every_dependency_is_locked() -> None:
    """What pyproject.toml asks for stands in the lock files, so that `make` installs it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for lock, wanted in (
        ("run", project["dependencies"]),
        ("test", project["dependencies"] + project["optional-dependencies"]["test"]),
    ):
        text = (ROOT / ".ci" / f"{lock}.lock").read_text().lower()
        names = [re.split(r"[\[><=~! ]", each)[0].lower().replace("_", "-") for each in wanted]
        assert [name for name in names if f"\n{name}==" not in f"\n{text}"] == []
