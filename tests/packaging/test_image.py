"""The container image: .ci/image builds it from the Dockerfile and serves requests in it. Tests of its content.

Skipped, with the reason, if images cannot be built here.
"""

import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TREE = ROOT / ".cache" / "image" / "root"
SERVED = "20 requests to http://127.0.0.1/fruits were served"

pytestmark = pytest.mark.timeout(1800)  # all modules are compiled, with low priority in `make test`


@pytest.fixture(scope="module")
def packages() -> Path:
    """The folder of the image's Python packages, after the image was built and tested."""
    ended = subprocess.run([ROOT / ".ci" / "image", "--if-possible"], capture_output=True, text=True, check=False)
    if ended.stdout.startswith("image: skipped"):
        pytest.skip(ended.stdout.strip())
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert SERVED in ended.stdout
    print(ended.stdout)
    [packages] = TREE.glob("opt/fastroute/lib/python3*/site-packages")
    return packages


def names(paths: Iterable[Path]) -> set[str]:
    return {str(path.relative_to(TREE)) for path in paths}


def test_the_image_has_nothing_that_only_builds(packages: Path) -> None:
    left = {"Cython", "_distutils_hack", "aiohttp", "setuptools", "wheel", "pip"}
    assert {path.name for path in packages.iterdir()} & left == set()
    assert names(TREE.glob("usr/bin/*gcc*")) | names(TREE.glob("usr/include/*.h")) == set()
    assert names(TREE.glob("var/lib/apt/lists/*")) | names(TREE.glob("var/cache/apt/archives/*.deb")) == set()


def test_the_image_has_no_tests_and_no_generated_classes(packages: Path) -> None:
    assert names(packages.rglob("tests")) | names(packages.rglob("test")) == set()
    assert names(packages.glob("kubernetes/client/models/*.py")) == names(
        [packages / "kubernetes/client/models/__init__.py"]
    )
    assert not (packages / "kubernetes" / "aio").exists()


def test_each_module_is_compiled_once(packages: Path) -> None:
    compiled = [path for path in packages.rglob("*.pyc") if path.parent.name == "__pycache__"]
    assert len({path.name.partition(".")[0] + str(path.parent) for path in compiled}) == len(compiled)
    sources = set(packages.rglob("*.py"))
    assert len(compiled) == len(sources) > 500


def test_the_compiled_modules_are_stripped(packages: Path) -> None:
    [library] = packages.glob("fastroute/ext/**/*.so")
    assert b".debug_info" not in library.read_bytes()
