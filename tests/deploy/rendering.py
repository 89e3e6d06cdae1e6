"""The objects that the chart and the kustomize base render, for comparison."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from cluster.programs import ROOT, TOOLS, built

DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "fastroute"
KUSTOMIZE = DEPLOY / "kustomize"

# Only helm sets these; they describe helm itself.
HELMS_OWN = ("helm.sh/chart", "app.kubernetes.io/managed-by")


class Name(NamedTuple):
    kind: str
    namespace: str | None
    name: str


Objects = dict[Name, dict[str, Any]]


class RenderError(Exception):
    """The output of helm or kustomize."""


def chart(*arguments: str, namespace: str = "fastroute", release: str = "fastroute", source: Path = CHART) -> Objects:
    """The chart's objects; `arguments` are those of helm, for example `--set=replicas=3`; `source`: a folder, or an
    archive.

    Raises:
        RenderError: the schema refuses the values.
    """
    return _objects(_output("helm", "template", release, str(source), f"--namespace={namespace}", *arguments))


def base() -> Objects:
    return _objects(_output("kubectl", "kustomize", str(KUSTOMIZE / "base")))


def whole(source: Path = KUSTOMIZE) -> Objects:
    """The objects that `kubectl apply -k deploy/kustomize` applies."""
    return _objects(_output("kubectl", "kustomize", str(source)))


def with_components(folder: Path, *components: str, patches: str = "", source: Path = KUSTOMIZE) -> Objects:
    """The base with components of deploy/kustomize and `patches` (YAML), in the empty folder `folder`."""
    (folder / "deploy").symlink_to(source)
    kustomization: Mapping[str, list[str]] = {
        "resources": ["deploy/base"],
        "components": [f"deploy/{component}" for component in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization) + patches)
    return _objects(_output("kubectl", "kustomize", "--load-restrictor=LoadRestrictionsNone", str(folder)))


def _output(program: str, *arguments: str) -> str:
    ended = subprocess.run([built(TOOLS) / program, *arguments], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RenderError(ended.stderr)
    return ended.stdout


def _objects(text: str) -> Objects:
    found: Objects = {}
    for one in yaml.safe_load_all(text):
        if one is None:
            continue
        metadata = one["metadata"]
        metadata["labels"] = {k: v for k, v in metadata.get("labels", {}).items() if k not in HELMS_OWN}
        name = Name(one["kind"], metadata.get("namespace"), metadata["name"])
        assert name not in found, f"{name} is defined twice"
        found[name] = one
    return found
