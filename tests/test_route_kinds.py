"""No file names a kind of route, except the files of the kinds and the tables in which each kind has a row.

So another kind of route changes its own files and these tables, and nothing else.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastroute.compiler.route_bodies import BODIES
from fastroute.graph.route_stages import STAGES
from fastroute.resources.route_kinds import BY_TYPE, ROUTES

PACKAGE = Path(__file__).parent.parent / "fastroute"
OWN = re.compile(r"(http|grpc|tcp|tls|udp)route\.py")  # files of one kind
NAMING = {  # other files, and why they name kinds
    "resources/route_kinds.py": "the table of kinds",
    "graph/route_stages.py": "the table of how they are built",
    "compiler/route_bodies.py": "the table of how they are compiled",
    "resources/world.py": "Resources has a field for each kind of object",
}
KIND = re.compile(r"(?<![a-z])(http|grpc|tcp|tls|udp)_?routes?", re.IGNORECASE)


def names(text: str) -> Iterator[str]:
    """All identifiers and texts of a module, except docstrings."""
    tree = ast.parse(text)
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield name
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ImportFrom(module=module, names=aliases):
                yield from (module or "", *(alias.name for alias in aliases))
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases)
            case ast.Constant(value=str(value)) if id(node) not in documents:
                yield value


def naming(path: Path) -> list[str]:
    return sorted({name for name in names(path.read_text()) if KIND.search(name)})


FILES = sorted(path for path in PACKAGE.rglob("*.py") if not OWN.fullmatch(path.name))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_tables_name_kinds_of_routes(path: Path) -> None:
    assert bool(naming(path)) == (str(path.relative_to(PACKAGE)) in NAMING), naming(path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"""HTTPRoutes."""\nx = 1  # HTTPRoute', []),
        ("def f():\n    return resources.http_routes", ["http_routes"]),
        ('kind = f"a {GRPCRoute} or UDPRoute"', [" or UDPRoute", "GRPCRoute"]),
        ("from fastroute.graph import httproute", ["httproute"]),
        ("class HTTPRule:\n    route: Route", []),
    ],
)
def test_what_counts_as_a_name(text: str, found: list[str]) -> None:
    assert sorted(name for name in names(text) if KIND.search(name)) == found


def test_each_kind_has_its_rows() -> None:
    assert STAGES.keys() == ROUTES.keys()
    assert BODIES.keys() == ROUTES.keys()
    assert len(BY_TYPE) == len(ROUTES)
