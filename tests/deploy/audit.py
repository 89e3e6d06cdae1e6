"""Which rights an account used, and which it was refused, according to an API server's audit log.

    python -m deploy.audit LOG     prints refused rights, and rights granted by deploy/kustomize but never used

Rights are compared as (group, resource or resource/subresource, verb). Discovery and reviews of the account's own
rights are ignored, since every account has them.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cluster.account import NAME, NAMESPACE, rights

AUDIT_LOG = "audit.log"
USER = f"system:serviceaccount:{NAMESPACE}:{NAME}"


class Right(NamedTuple):
    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{'.' if self.group else ''}{self.group}"


class Asked(NamedTuple):
    """One request of the account, and whether it was allowed."""

    right: Right
    is_allowed: bool


def asked(lines: Iterable[str], user: str = USER) -> Iterator[Asked]:
    """The requests of `user` in the lines of an audit log (policy level Metadata or more)."""
    for line in lines:
        event = json.loads(line)
        reference = event.get("objectRef")
        if event["user"]["username"] != user or not reference or "resource" not in reference:
            continue
        name = "/".join(filter(None, (reference["resource"], reference.get("subresource"))))
        allowed = event.get("annotations", {}).get("authorization.k8s.io/decision") == "allow"
        yield Asked(Right(reference.get("apiGroup", ""), name, event["verb"]), allowed)


def granted(objects: Iterable[dict[str, Any]]) -> frozenset[Right]:
    """All rights that the roles in `objects` grant."""
    return frozenset(
        Right(group, resource, verb)
        for one in objects
        for rule in one.get("rules", ())
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


class Verdict(NamedTuple):
    refused: frozenset[Right]
    unused: frozenset[Right]
    used: frozenset[Right]


def judged(requests: Iterable[Asked], given: frozenset[Right]) -> Verdict:
    """Which rights of `given` were used, which were not, and which requests were refused."""
    seen = list(requests)
    used = frozenset(one.right for one in seen if one.is_allowed)
    return Verdict(frozenset(one.right for one in seen if not one.is_allowed), given - used, used & given)


def audit_flags(folder: Path) -> list[str]:
    """Flags for an API server: log fastroute's requests, without bodies, to AUDIT_LOG in `folder`."""
    policy = folder / "audit-policy.yaml"
    policy.write_text(
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\n"
        f"rules: [{{level: Metadata, users: ['{USER}']}}, {{level: None}}]\n"
    )
    return [f"--audit-policy-file={policy}", f"--audit-log-path={folder / AUDIT_LOG}"]


def verdict_of(log: Path, *, infrastructure: bool = False) -> Verdict:
    """Compares an audit log with the rights in deploy/kustomize."""
    with log.open() as lines:
        return judged(asked(lines), granted(rights(infrastructure=infrastructure)))


def rights_used(verdict: Verdict) -> str:
    """As text: refused rights, granted rights that were never used, and the counts."""
    said = [f"refused: {right}" for right in sorted(verdict.refused)]
    said += [f"never used: {right}" for right in sorted(verdict.unused)]
    numbers = f"{len(verdict.used)} used, {len(verdict.refused)} refused, {len(verdict.unused)} never used"
    return "\n".join([*said, f"rights: {numbers}"])


if __name__ == "__main__":
    print(rights_used(verdict_of(Path(sys.argv[1]), infrastructure="--infrastructure" in sys.argv)))
