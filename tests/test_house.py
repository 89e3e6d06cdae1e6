"""House rules that a machine can hold us to (CONTRIBUTING.md, "Style")."""

import ast
import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = sorted(path for folder in ("fastroute", "bench", "tests") for path in (ROOT / folder).rglob("*.py"))
CYTHON = sorted((ROOT / "ext").glob("*.p[yx][xd]"))
NAMELESS = re.compile(r"(^|_)(utils?|helpers?|common|managers?|handlers?|processors?|misc|base|info|impl)(_|$)")

LONGEST_FUNCTION = 60  # lines
LONGEST_FILE = 450


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_or_class_has_a_name_that_says_nothing() -> None:
    names = {path.stem for path in (*PYTHON, *CYTHON)}
    classes = {
        node.name for path in PYTHON for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)
    }
    words = names | {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in classes}
    assert sorted(word for word in words if NAMELESS.search(word)) == []


@pytest.mark.parametrize("path", [path for path in (*PYTHON, *CYTHON) if "tests" not in path.parts], ids=shown)
def test_a_file_is_short_and_opens_with_what_it_owns(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= LONGEST_FILE
    assert not text or text.startswith(('"""', "#", 'r"""'))


@pytest.mark.parametrize("path", [path for path in PYTHON if "tests" not in path.parts], ids=shown)
def test_functions_are_short(path: Path) -> None:
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [node.name for node in functions if (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION] == []


SHOWN_BY_EXAMPLE = [
    path for path in PYTHON if shown(path).startswith("fastroute/") and "\n    >>> " in path.read_text()
]


@pytest.mark.parametrize("path", SHOWN_BY_EXAMPLE, ids=shown)
def test_examples_in_docstrings_are_true(path: Path) -> None:
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    failed, tried = doctest.testmod(module)
    assert tried
    assert not failed
