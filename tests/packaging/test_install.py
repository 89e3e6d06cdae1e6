"""The sdist, a wheel built from it, and the source tree can each be installed and give a working `fastroute`.

Each is installed into a new virtual environment. Dependencies come from the environment that runs the tests (through a
.pth file), so that only fastroute is installed; another test checks that the metadata names every dependency.
"""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
PARTS = ("fastroute", "ext", "examples", "tests/test_text.py", "setup.py", "pyproject.toml", "MANIFEST.in")
PARTS += ("README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md")
PARTS += ("dashboard/src", "dashboard/package.json", "dashboard/package-lock.json", ".ci/dashboard")
BUILT = ("*.so", "*.c", "*.cpp", "__pycache__")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FIRST_REQUEST = Path(__file__).parent / "firstrequest.py"
BUILD_SDIST = "from setuptools import build_meta; build_meta.build_sdist('dist')"  # as every build tool calls it
PIP_WHEEL = ("-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir")

pytestmark = pytest.mark.timeout(1800)  # all modules are compiled, with low priority in `make test`


def run(*command: str | Path, cwd: Path | None = None) -> str:
    ended = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{command}:\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source tree as after a checkout, with nothing built."""
    tree = tmp_path_factory.mktemp("tree")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, tree / part, symlinks=True, ignore=shutil.ignore_patterns(*BUILT))
        else:
            (tree / part).parent.mkdir(exist_ok=True)
            shutil.copy2(source, tree / part)
    return tree


@pytest.fixture(scope="session")
def sdist(tree: Path) -> Path:
    run(sys.executable, "-c", BUILD_SDIST, cwd=tree)
    [sdist] = (tree / "dist").glob("*.tar.gz")
    return sdist


@pytest.fixture(scope="session")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return folder / sdist.name.removesuffix(".tar.gz")


@pytest.fixture(scope="session")
def wheel(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sdist, in an environment with only the build requirements."""
    builder = tmp_path_factory.mktemp("builder")
    run(ROOT / ".ci/environment", builder, ".ci/build.lock", sys.executable, cwd=ROOT)
    run(builder / "bin/python", *PIP_WHEEL, unpacked / "dist", unpacked)
    [wheel] = (unpacked / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def repaired(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that includes RE2, OpenSSL and libnghttp2."""
    folder = tmp_path_factory.mktemp("repaired")
    run(ROOT / ".ci/repair", wheel, folder)
    [repaired] = folder.glob("*.whl")
    return repaired


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """The `bin` folder of a new environment that sees our dependencies but not our source."""
    run(sys.executable, "-m", "venv", tmp_path / "clean")
    python = tmp_path / "clean" / "bin" / "python"
    run(python, "-m", "pip", "uninstall", "--yes", "setuptools")  # Python 3.11 has an old one, found before the .pth
    [packages] = (tmp_path / "clean" / "lib").glob("python3*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return tmp_path / "clean" / "bin"


def assert_works(clean: Path, folder: Path) -> None:
    assert run(clean / "fastroute", "--version", cwd=folder).startswith("fastroute ")
    where = run(clean / "python", "-c", "import fastroute; print(fastroute.__file__)", cwd=folder)
    assert where.startswith(str(clean.parent)), where
    run(clean / "python", FIRST_REQUEST, cwd=folder)
    assert "All numbers are as expected." in run(clean / "fastroute", "demo", "--once", cwd=folder)


def test_a_wheel_of_the_sdist_works(wheel: Path, clean: Path, tmp_path: Path) -> None:
    run(clean / "python", "-m", "pip", "install", "--no-deps", "--no-index", wheel)
    assert_works(clean, tmp_path)


def test_a_repaired_wheel_brings_its_libraries(repaired: Path, clean: Path, tmp_path: Path) -> None:
    run(clean / "python", "-m", "pip", "install", "--no-deps", "--no-index", repaired)
    assert "libraries of the package: " in run(clean / "python", FIRST_REQUEST, "--inside", cwd=tmp_path)
    names = zipfile.ZipFile(repaired).namelist()
    assert re.search(r"-manylinux_2_\d\d_\w+\.whl$", repaired.name)
    assert [name for name in names if "/licenses/libre2" in name]
    assert [name for name in names if "/licenses/libssl" in name]
    assert [name for name in names if "/licenses/libnghttp2" in name]


def test_the_source_tree_works(tree: Path, unpacked: Path, wheel: Path, clean: Path, tmp_path: Path) -> None:
    """It reuses the objects that the wheel was built from, so that nothing is compiled twice."""
    shutil.copytree(unpacked / "build", tree / "build")
    run(clean / "python", "-m", "pip", "install", "--no-deps", "--no-index", "--no-build-isolation", tree)
    assert_works(clean, tmp_path)


def test_what_an_sdist_holds(sdist: Path) -> None:
    """All sources, as files; no build results and no tests."""
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    names = {member.name.partition("/")[2] for member in members if member.isfile()}
    sources = [path for path in (ROOT / "ext").rglob("*") if path.suffix in (".pyx", ".pxd", ".pyi")]
    assert {f"fastroute/{path.relative_to(ROOT)}" for path in sources} <= names
    assert {str(path.relative_to(ROOT)) for path in python_files()} <= names
    examples = ROOT / "examples"
    assert {f"fastroute/demo/examples/{path.relative_to(examples)}" for path in examples.rglob("*.yaml")} <= names
    for folder in ("fastroute/admin/page", "dashboard/src"):
        assert {f"{folder}/{path.name}" for path in (ROOT / folder).iterdir()} <= names
    assert {"dashboard/package-lock.json", ".ci/dashboard"} <= names
    assert {"LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md", "setup.py", "pyproject.toml"} <= names
    assert not [name for name in names if name.endswith((".c", ".cpp", ".so", ".pyc")) or name.startswith("tests/")]
    assert not [member.name for member in members if member.issym() or member.islnk()]


def test_nothing_is_built_without_sources(unpacked: Path, tmp_path: Path) -> None:
    """A wheel without compiled modules could be installed but not imported."""
    for part in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "fastroute"):
        copy = shutil.copytree if (unpacked / part).is_dir() else shutil.copy
        copy(unpacked / part, tmp_path / part)
    for source in (tmp_path / "fastroute/ext").rglob("*.pyx"):
        source.unlink()
    words = [sys.executable, *PIP_WHEEL, tmp_path / "dist", tmp_path]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "fastroute/ext has no .pyx files" in ended.stdout + ended.stderr
    assert not list((tmp_path / "dist").glob("*.whl"))


def test_what_a_wheel_holds(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    compiled = {re.sub(r"\..*", "", Path(name).name) for name in names if name.endswith(".so")}
    assert compiled == {"library"}
    assert "fastroute/py.typed" in names
    assert "fastroute/ext/routing/tables.pyi" in names
    assert "fastroute/demo/examples/cross-namespace/grants/bananas.yaml" in names
    page = ROOT / "fastroute/admin/page"
    assert {f"fastroute/admin/page/{path.name}" for path in page.iterdir()} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "bench/", "ext/"))]
    assert {str(path.relative_to(ROOT)) for path in python_files()} <= set(names)


def test_what_a_wheel_says_about_itself(wheel: Path) -> None:
    """The metadata is complete and equals pyproject.toml; the chart and the documents contain the same values."""
    with zipfile.ZipFile(wheel) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        said = Parser().parsestr(archive.read(metadata).decode())
    chart = yaml.safe_load((ROOT / "deploy/helm/fastroute/Chart.yaml").read_text())
    assert said["Name"] == PROJECT["name"] == chart["name"]
    assert said["Version"] == PROJECT["version"] == chart["version"] == chart["appVersion"]
    assert said["Summary"] == PROJECT["description"]
    assert said["Author"] == PROJECT["authors"][0]["name"] == "the fastroute authors"
    assert said["License-Expression"] == PROJECT["license"] == "Apache-2.0"
    assert said.get_all("License-File") == ["LICENSE"]
    assert said["Requires-Python"] == PROJECT["requires-python"]
    assert said["Keywords"].split(",") == PROJECT["keywords"]
    assert said.get_all("Classifier") == PROJECT["classifiers"]
    assert said["Description-Content-Type"] == "text/markdown"
    assert said.get_payload().strip() == (ROOT / "README.md").read_text().strip()
    urls = dict(line.split(", ", 1) for line in said.get_all("Project-URL", []))
    assert urls == PROJECT["urls"]
    assert urls.keys() == {"Homepage", "Source", "Issues", "Changelog", "Security"}
    assert urls["Homepage"] == chart["home"]
    assert urls["Source"] in (ROOT / "docs/conformance/v1.7.0-all.yaml").read_text()


def test_the_classifiers_name_the_supported_pythons() -> None:
    """They are those that `.ci/prepare` accepts, from the lowest that `requires-python` allows."""
    named = re.findall(r"Python :: 3\.(\d+)", " ".join(PROJECT["classifiers"]))
    low, high = re.findall(r"\(3, (\d+)\)", (ROOT / ".ci/prepare").read_text())
    assert named == [str(minor) for minor in range(int(low), int(high) + 1)]
    assert PROJECT["requires-python"] == f">=3.{low}"


def python_files() -> list[Path]:
    """The Python sources of the package."""
    return [path for path in (ROOT / "fastroute").rglob("*.py") if "examples" not in path.parts]


def test_every_dependency_is_locked() -> None:
    """The lock files contain the dependencies in pyproject.toml, so that `make` installs them."""
    for lock, wanted in (
        ("run", PROJECT["dependencies"]),
        ("test", PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]),
    ):
        text = (ROOT / ".ci" / f"{lock}.lock").read_text().lower()
        names = [re.split(r"[\[><=~! ]", each)[0].lower().replace("_", "-") for each in wanted]
        assert [name for name in names if f"\n{name}==" not in f"\n{text}"] == []


def test_the_sbom_names_dependencies_and_libraries(repaired: Path, tmp_path: Path) -> None:
    """Those of the product, in the installed versions, without build and test dependencies."""
    run(".ci/environment", ".cache/sbom", ".ci/run.lock", cwd=ROOT)
    tools, python = ".cache/release/bin/python", ".cache/sbom/bin/python"
    run(tools, ".ci/sbom", python, tmp_path / "sbom", repaired, cwd=ROOT)
    sbom = json.loads((tmp_path / "sbom").read_text())
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    assert sbom["metadata"]["component"]["version"] == PROJECT["version"]
    named = {re.sub(r"[-_.]+", "-", one["name"]).lower(): one["version"] for one in sbom["components"]}
    wanted = {re.split(r"[\[><=~! ]", each)[0].lower().replace("_", "-") for each in PROJECT["dependencies"]}
    assert wanted <= named.keys()
    assert named["trio"] == metadata.version("trio")
    assert {"pip", "cython", "setuptools", "pytest", "fastroute"}.isdisjoint(named)
    assert [name for name in named if name.startswith("libre2")]
    assert [name for name in named if name.startswith("libssl")]
    assert [name for name in named if name.startswith("libnghttp2")]
