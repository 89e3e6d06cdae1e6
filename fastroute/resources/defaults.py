"""Defaults that the structs cannot express, added to a plain object after the schema check, before it is typed.

The CRDs' defaults are the defaults of the structs (gateway.py, policy.py, core.py). This module adds the others: what
manifests omit and an API server fills in (namespace, generation, the name label of a Namespace), a Secret's
`stringData`, and defaults inside fields that are kept as plain mappings because they are not served yet.
"""

import base64
from collections.abc import Sequence
from typing import Any

from fastroute.resources.core import CHAIN, KEY
from fastroute.resources.route_kinds import ROUTES

NAMESPACE = "default"
NAME_LABEL = "kubernetes.io/metadata.name"

_PLAIN: dict[str, dict[str, Any]] = {  # by kind, then by field
    kind.name: dict(kind.defaults) for kind in ROUTES.values()
}
_PATHS = {
    kind: tuple((tuple(where.replace("[]", ".[]").split(".")), value) for where, value in fields.items())
    for kind, fields in _PLAIN.items()
}


def with_defaults(kind: str, value: dict[str, Any], *, cluster: bool) -> dict[str, Any]:
    """Adds defaults to `value`, which has passed its schema. Mappings inside it are modified in place."""
    value = {**value, "metadata": _metadata(kind, value["metadata"], cluster=cluster)}
    if not isinstance(value.get("status", {}), dict):
        del value["status"]  # the schema does not check the status, but a status of another type cannot be typed
    if kind == "Secret" and "stringData" in value:
        written = value["stringData"]
        parts = [name for name in (CHAIN, KEY) if name in written]
        value["data"] = value.get("data", {}) | {
            name: base64.b64encode(written[name].encode()).decode() for name in parts
        }
    for path, default in _PATHS.get(kind, ()):
        _fill(value, path, default)
    return value


def _metadata(kind: str, metadata: dict[str, Any], *, cluster: bool) -> dict[str, Any]:
    filled = {"generation": 1, **metadata, "namespace": "" if cluster else metadata.get("namespace", NAMESPACE)}
    if kind == "Namespace":
        filled["labels"] = {**metadata.get("labels", {}), NAME_LABEL: metadata["name"]}
    return filled


def _fill(value: Any, path: Sequence[str], default: Any) -> None:
    """Sets the last field of `path`, if it is missing, in every object that exists; `[]` means each item of a list."""
    for index, step in enumerate(path[:-1]):
        if step == "[]":
            for item in value:
                _fill(item, path[index + 1 :], default)
            return
        if step not in value:
            return
        value = value[step]
    value.setdefault(path[-1], dict(default) if isinstance(default, dict) else default)
