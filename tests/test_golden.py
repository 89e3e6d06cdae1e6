"""Golden files: manifests as input, every status, problem and warning as output (tests/golden/README.md)."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastroute.graph.build import build_graph
from fastroute.graph.finding import Finding, find_problems
from fastroute.lint import lint
from fastroute.settings import GraphSettings
from fastroute.source.directory import Directory
from fastroute.status import build_statuses, everything_bound

GOLDEN = Path(__file__).parent / "golden"
INPUTS = sorted(GOLDEN.glob("*.in.yaml"))


class Block(yaml.SafeDumper):
    """Writes multi-line strings as block scalars, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Block.add_representer(str, _text)


def outcome_of(manifests: Path) -> str:
    source = Directory([manifests])
    source.load()
    resources = source.store.snapshot()
    graph = build_graph(resources, GraphSettings())
    statuses = build_statuses(graph, everything_bound(graph))
    documents: list[dict[str, Any]] = [
        {
            "kind": patch.kind,
            "metadata": {"namespace": patch.key.namespace, "name": patch.key.name},
            "status": patch.status,
        }
        for patch in statuses.in_order
    ]
    broken: list[dict[str, Any]] = [
        {
            "object": f"{problem.kind} {problem.namespace}/{problem.name}",
            "field": problem.field,
            "message": problem.message,
        }
        for problem in source.store.problems
    ]
    findings = {"problems": broken + [_shown(f) for f in find_problems(graph)]}
    findings["warnings"] = [_shown(f) for f in lint(resources, graph)]
    documents.append(findings)
    return yaml.dump_all(documents, Dumper=Block, sort_keys=False, width=120, explicit_start=True)


def _shown(finding: Finding) -> dict[str, Any]:
    shown = {
        "object": f"{finding.kind} {finding.key}",
        "condition": finding.condition,
        "reason": finding.reason,
        "field": finding.field,
        "message": finding.message,
        "fix": finding.fix,
    }
    return {name: value for name, value in shown.items() if value is not None}


@pytest.mark.parametrize("given", INPUTS, ids=lambda path: path.name.removesuffix(".in.yaml"))
def test_golden(given: Path) -> None:
    expected = given.with_name(given.name.replace(".in.yaml", ".out.yaml"))
    actual = outcome_of(given)
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(actual, encoding="utf-8")
    assert actual == expected.read_text(encoding="utf-8")


def test_every_scenario_has_a_pair() -> None:
    """Uses the table in README.md. The steps of one scenario have the same name up to the dot."""
    worlds = {path.name.removesuffix(".in.yaml").partition(".")[0] for path in INPUTS}
    named = dict(re.findall(r"^\| ([A-Z]\d+) \| `([^`]+)` \|$", (GOLDEN / "README.md").read_text(), re.MULTILINE))
    scenarios = [f"A{n}" for n in range(1, 22) if n != 18] + [f"B{n}" for n in range(1, 17)] + ["C1", "C2", "F1"]
    scenarios += [f"D{n}" for n in range(1, 5)]
    assert [name for name in scenarios if named.get(name) not in worlds] == []
    assert sorted(set(named) - set(scenarios)) == ["A22"]
