"""Fixes as YAML: a ReferenceGrant that can be applied unchanged, or an `allowedRoutes` stanza for a listener.

The text is built without a YAML library, for speed: a cluster can have thousands of refused references. In these few
templates only scalars that YAML would misinterpret need quotes.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import count

from fastroute.graph.grant import EMPTY, Grants, Reference
from fastroute.graph.node import HolderId
from fastroute.resources.document import scalar
from fastroute.resources.gateway import GROUP, AllowedRoutes, LabelSelector, ListenerNamespaces, RouteNamespaces
from fastroute.resources.meta import Key

NAME_LABEL = "kubernetes.io/metadata.name"
LONGEST_NAME = 253
# A refused route has a stanza for each of its parentRefs. For a longer selector there is none.
MOST_NAMES = 64  # labels and values of the selector
LONGEST_STANZA = 8_192  # characters


def grant_document(reference: Reference, grants: Grants) -> str:
    """The ReferenceGrant that allows exactly `reference`, with an unused name."""
    return f"""\
# For the owner of namespace {reference.to_namespace}: lets every {reference.kind} of namespace {reference.namespace}
# refer to {reference.to_kind} {reference.to_name}, and to nothing else.
apiVersion: {GROUP}/v1beta1
kind: ReferenceGrant
metadata:
  name: {scalar(_free_name(reference, grants))}
  namespace: {scalar(reference.to_namespace)}
spec:
  from:
  - group: {reference.group}
    kind: {reference.kind}
    namespace: {scalar(reference.namespace)}
  to:
  - group: {scalar(reference.to_group)}
    kind: {scalar(reference.to_kind)}
    name: {scalar(reference.to_name)}
"""


def _plural(kind: str) -> str:
    return re.sub(r"([^aeiou])y$", r"\1ie", kind.lower()) + "s"


def _free_name(reference: Reference, grants: Grants) -> str:
    """Thousands of grants may have such names, and hundreds of references may need one: it is searched once."""
    space = grants.get(reference.to_namespace, EMPTY)
    name = f"{reference.namespace}-{_plural(reference.kind)}-to-{reference.to_name}"[:LONGEST_NAME]
    if name not in space.names:
        return name
    if name not in space.free:
        ends = (f"-{number}" for number in count(2))
        candidates = (f"{name[: LONGEST_NAME - len(end)]}{end}" for end in ends)
        space.free[name] = next(candidate for candidate in candidates if candidate not in space.names)
    return space.free[name]


def allowed_routes(
    holder: HolderId, listener: str, allowed: AllowedRoutes, wanted: Sequence[str], kinds: Iterable[str] = ()
) -> str | None:
    """An `allowedRoutes` stanza that admits what the listener admits now, and routes of the namespaces `wanted`.

    None if it would be long.

    `kinds`: the content of `allowedRoutes.kinds`; empty if the field is not needed. If the current selector cannot be
    extended with namespace names, the stanza replaces it, and a comment contains the label command as an alternative.
    """
    if _is_long(allowed.namespaces.selector):
        return None
    kind, key = holder
    lines = [f"# In {kind} {key}, listener {listener}:"]
    namespaces, labels = _admitted(key.namespace, allowed.namespaces, wanted)
    if labels:
        lines += [
            "# This replaces a selector by labels. To keep that one, label the namespace instead:",
            f"#   kubectl label namespace {' '.join((*wanted, *labels))}",
        ]
    lines += ["allowedRoutes:"]
    if kinds:
        lines += ["  kinds:", *(f"  - kind: {kind}" for kind in kinds)]
    lines += _namespaces(["*"] if allowed.namespaces.from_ == "All" else namespaces, key.namespace)
    return _unless_long(lines)


def allowed_listeners(gateway: Key, allowed: ListenerNamespaces, wanted: str) -> str | None:
    """An `allowedListeners` stanza that admits what the Gateway admits now, and ListenerSets of namespace `wanted`.

    None if it would be long.
    """
    if _is_long(allowed.selector):
        return None
    namespaces, labels = [wanted], list[str]()
    if allowed.from_ != "None":
        namespaces, labels = _admitted(gateway.namespace, allowed, (wanted,))
    lines = [f"# In Gateway {gateway}:"]
    if labels:
        lines += [
            "# This replaces a selector by labels. To keep that one, label the namespace instead:",
            f"#   kubectl label namespace {' '.join((wanted, *labels))}",
        ]
    return _unless_long([*lines, "allowedListeners:", *_namespaces(namespaces, gateway.namespace)])


def _is_long(selector: LabelSelector | None) -> bool:
    if selector is None:
        return False
    expressions = selector.match_expressions
    parts = len(selector.match_labels) + len(expressions)
    return parts > MOST_NAMES or parts + sum(len(one.values) for one in expressions) > MOST_NAMES


def _unless_long(lines: list[str]) -> str | None:
    text = "\n".join(lines) + "\n"
    return text if len(text) <= LONGEST_STANZA else None


def _namespaces(names: Sequence[str], own: str) -> list[str]:
    """A `namespaces` stanza that selects these namespaces by name; "*" selects all."""
    if list(names) in (["*"], [own]):
        return ["  namespaces:", f"    from: {'All' if names[0] == '*' else 'Same'}"]
    return [
        "  namespaces:",
        "    from: Selector",
        "    selector:",
        "      matchExpressions:",
        f"      - key: {NAME_LABEL}",
        "        operator: In",
        "        values:",
        *(f"        - {scalar(name)}" for name in names),
    ]


def _admitted(
    own: str, allowed: RouteNamespaces | ListenerNamespaces, wanted: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Namespaces to list by name, and the labels (`key=value`) that the current selector requires."""
    selector = allowed.selector
    if allowed.from_ != "Selector":
        return list(dict.fromkeys((own, *wanted))), []
    if selector is None:
        return list(wanted), []
    listed = _listed_by_name(selector)
    if listed is not None:
        return list(dict.fromkeys((*listed, *wanted))), []
    labels = [f"{key}={value}" for key, value in selector.match_labels.items()]
    for requirement in selector.match_expressions:
        if requirement.operator == "In" and requirement.values:
            labels.append(f"{requirement.key}={requirement.values[0]}")
        elif requirement.operator == "Exists":
            labels.append(f"{requirement.key}=")
        else:
            labels.append(f"{requirement.key}-")
    return list(wanted), labels


def _listed_by_name(selector: LabelSelector) -> tuple[str, ...] | None:
    """The namespace names, if the selector is only a list of namespace names; else None."""
    expressions = selector.match_expressions
    if selector.match_labels or len(expressions) != 1:
        return None
    only = expressions[0]
    return only.values if only.key == NAME_LABEL and only.operator == "In" else None
