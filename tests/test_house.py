"""Style rules that can be checked automatically (CONTRIBUTING.md, "Style")."""

import ast
import doctest
import importlib
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = sorted(path for folder in ("fastroute", "bench", "tests") for path in (ROOT / folder).rglob("*.py"))
CYTHON = sorted(path for folder in ("ext", "tests/fuzz") for path in (ROOT / folder).rglob("*.p[yx][xd]"))
NAMELESS = re.compile(r"(^|_)(utils?|helpers?|common|managers?|handlers?|processors?|misc|base|info|impl)(_|$)")

LONGEST_FUNCTION = {".py": 45, ".pyx": 60, ".pxd": 60}  # lines
LONGEST_FILE = 450
MOST_PARAMETERS = 5  # positional; keyword-only parameters are not counted
MOST_OF_C = 8  # of a C function, which has no keyword arguments


class Function(NamedTuple):
    """The properties that the rules check, of a Python or Cython function."""

    name: str
    lines: int
    parameters: int  # that can be passed by position, without self and cls
    is_c: bool = False


def functions_of(path: Path) -> list[Function]:
    return (python_functions if path.suffix == ".py" else cython_functions)(path.read_text())


def python_functions(text: str) -> list[Function]:
    return [
        Function(
            node.name,
            (node.end_lineno or 0) - node.lineno + 1,
            len({one.arg for one in (*node.args.posonlyargs, *node.args.args)} - {"self", "cls"}),
        )
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


# The definition of a function in Cython up to its "(", and its keyword (cdef: a C function).
DEFINITION = re.compile(
    r"^( *)(?:async )?(def|cdef|cpdef) (?!class |struct |enum |union |extern )[^\n=(]*?(\w+)\(", re.MULTILINE
)


def cython_functions(text: str) -> list[Function]:
    found = []
    for match in DEFINITION.finditer(text):
        end = closed(text, match.end())
        heading = re.compile(r"[^\n]*:[ \t]*(#[^\n]*)?\n").match(text, end)
        if heading is None:  # a declaration without a body, or a call
            continue
        parameters = [one for one in split(text[match.end() : end - 1]) if one not in ("self", "cls")]
        if "*" in parameters:
            parameters = parameters[: parameters.index("*")]
        indent = len(match[1])
        body = re.compile(rf"(?:[ \t]*(?:#[^\n]*)?\n| {{{indent + 1},}}[^\n]*\n?)*").match(text, heading.end())
        assert body is not None
        lines = text.count("\n", match.start(), body.start()) + body[0].rstrip().count("\n") + 1
        found.append(Function(match[3], lines, len(parameters), match[2] == "cdef"))
    return found


def closed(text: str, at: int) -> int:
    """The index after the bracket that closes the one opened before `at`."""
    depth = 1
    while depth:
        depth += (text[at] in "([{") - (text[at] in ")]}")
        at += 1
    return at


def split(parameters: str) -> list[str]:
    """Splits at commas outside of brackets."""
    found, depth = [""], 0
    for character in parameters:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return [one.strip() for one in found if one.strip()]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_or_class_has_a_name_that_says_nothing() -> None:
    names = {path.stem for path in (*PYTHON, *CYTHON)}
    classes = {
        node.name for path in PYTHON for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)
    }
    classes |= {
        name
        for path in CYTHON
        for name in re.findall(r"^(?:cdef )?(?:class|struct) (\w+)", path.read_text(), re.MULTILINE)
    }
    words = names | {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in classes}
    assert sorted(word for word in words if NAMELESS.search(word)) == []


@pytest.mark.parametrize("path", [*PYTHON, *CYTHON], ids=shown)
def test_a_file_is_short_and_opens_with_what_it_owns(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= LONGEST_FILE
    assert not text or text.startswith(('"""', "#", 'r"""'))


OURS = [path for path in (*PYTHON, *CYTHON) if "tests" not in path.parts]


@pytest.mark.parametrize("path", OURS, ids=shown)
def test_functions_are_short(path: Path) -> None:
    assert [one for one in functions_of(path) if one.lines > LONGEST_FUNCTION[path.suffix]] == []


@pytest.mark.parametrize("path", OURS, ids=shown)
def test_functions_take_few_parameters(path: Path) -> None:
    most = {False: MOST_PARAMETERS, True: MOST_OF_C}
    assert [one for one in functions_of(path) if one.parameters > most[one.is_c]] == []


def test_functions_of_cython_are_found() -> None:
    text = """cdef class Thing:
    cdef int counted(self, int a, const char *b, double (*c)(int, int)) except -1   # declared only

    cdef int counts(self, int a, const char *b,
                    double (*c)(int, int)) except -1:
        \"\"\"Two lines of head, a text, a blank.\"\"\"

        return a

    def said(self, a, b=(1, 2), *, c=None):
        cdef int x = <int> self.counts(a, NULL, NULL)
        return x

cdef inline bint free(uint64_t *at) noexcept nogil:   # a note
    return True
"""
    assert cython_functions(text) == [
        Function("counts", 5, 3, True),
        Function("said", 3, 2, False),
        Function("free", 2, 1, True),
    ]


SHOWN_BY_EXAMPLE = [
    path for path in PYTHON if shown(path).startswith("fastroute/") and "\n    >>> " in path.read_text()
]


@pytest.mark.parametrize("path", SHOWN_BY_EXAMPLE, ids=shown)
def test_examples_in_docstrings_are_true(path: Path) -> None:
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    failed, tried = doctest.testmod(module)
    assert tried
    assert not failed
