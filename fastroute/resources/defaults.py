"""Defaults that a struct's own cannot express, put into a plain object between its schema and its type.

The CRDs' defaults are the structs' defaults (gateway.py, policy.py, core.py). Here are the rest: what a directory
leaves out and an API server would have filled in (namespace, generation, a Namespace's own label), a Secret's
`stringData`, and the fields that we keep as plain mappings because we do not serve them yet.
"""

import base64
from collections.abc import Sequence
from typing import Any

NAMESPACE = "default"
NAME_LABEL = "kubernetes.io/metadata.name"

_FILTERS = ("spec.rules[].filters[]", "spec.rules[].backendRefs[].filters[]")
_FRONTEND = ("spec.tls.frontend.default", "spec.tls.frontend.perPort[].tls")
_PLAIN: dict[str, dict[str, Any]] = {  # by kind: default by field
    "Gateway": {
        **{f"{place}.validation.mode": "AllowValidOnly" for place in _FRONTEND},
        "spec.tls.backend.clientCertificateRef.group": "",
        "spec.tls.backend.clientCertificateRef.kind": "Secret",
    },
    "HTTPRoute": {
        **{f"{place}.externalAuth.backendRef.group": "" for place in _FILTERS},
        **{f"{place}.externalAuth.backendRef.kind": "Service" for place in _FILTERS},
    },
}
_PATHS = {
    kind: tuple((tuple(where.replace("[]", ".[]").split(".")), value) for where, value in fields.items())
    for kind, fields in _PLAIN.items()
}


def with_defaults(kind: str, value: dict[str, Any], *, cluster: bool) -> dict[str, Any]:
    """`value`, which its schema accepts, with what was left out. Mappings inside it are filled in place."""
    value = {**value, "metadata": _metadata(kind, value["metadata"], cluster=cluster)}
    if not isinstance(value.get("status", {}), dict):
        del value["status"]  # not judged, but then nothing of it can be kept
    if kind == "Secret" and "stringData" in value:
        folded = {name: base64.b64encode(text.encode()).decode() for name, text in value["stringData"].items()}
        value["data"] = value.get("data", {}) | folded
    for path, default in _PATHS.get(kind, ()):
        _fill(value, path, default)
    return value


def _metadata(kind: str, metadata: dict[str, Any], *, cluster: bool) -> dict[str, Any]:
    filled = {"generation": 1, **metadata, "namespace": "" if cluster else metadata.get("namespace", NAMESPACE)}
    if kind == "Namespace":
        filled["labels"] = {**metadata.get("labels", {}), NAME_LABEL: metadata["name"]}
    return filled


def _fill(value: Any, path: Sequence[str], default: Any) -> None:
    """Sets the last field of `path` in every object that is there and lacks it; `[]` is each item of a list."""
    for index, step in enumerate(path[:-1]):
        if step == "[]":
            for item in value:
                _fill(item, path[index + 1 :], default)
            return
        if step not in value:
            return
        value = value[step]
    value.setdefault(path[-1], dict(default) if isinstance(default, dict) else default)
