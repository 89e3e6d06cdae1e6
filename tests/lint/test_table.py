"""Every lint is in the table, and every warning is documented under its name."""

import ast
import inspect
import re
from pathlib import Path

from fastroute import check, lint
from fastroute.graph import targeted
from fastroute.lint.table import LINTS
from fastroute.resources import decode
from fastroute.source import directory

ROOT = Path(__file__).parent.parent.parent
FILES = [
    *Path(lint.__file__).parent.glob("*.py"),
    *(Path(module.__file__) for module in (check, decode, directory, targeted)),
]
NAME = re.compile(r"([A-Z][a-z]+){2,}\Z")
OTHERS = {  # names of the API in these files that look like names of warnings
    *(kind for _, kind in decode.KINDS),
    *("PathPrefix", "ReplaceFullPath", "RequestRedirect", "RegularExpression", "GatewayList", "TargetNotFound"),
}


def test_every_lint_of_a_file_is_in_the_table() -> None:
    found = {
        function
        for path in Path(lint.__file__).parent.glob("*.py")
        for name, function in vars(__import__(f"fastroute.lint.{path.stem}", fromlist=["x"])).items()
        if inspect.isfunction(function)
        and not name.startswith("_")
        and list(inspect.signature(function).parameters) == ["resources", "graph"]
        and "Finding" in str(inspect.signature(function).return_annotation)
    }
    assert found == set(LINTS)


def test_every_warning_is_documented() -> None:
    texts = [node.value for path in FILES for node in ast.walk(ast.parse(path.read_text())) if _is_text(node)]
    names = {text for text in texts if NAME.match(text)} | {"Shadowed"}
    table = (ROOT / "docs" / "troubleshooting.md").read_text().partition("## Warnings of")[2]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert names - OTHERS == {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
