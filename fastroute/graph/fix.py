"""The way out as YAML: a ReferenceGrant to apply unchanged, an `allowedRoutes` stanza to put into a listener.

Text is made here and not by a YAML library: a cluster may hold thousands of refused references, and these few shapes
need only their scalars quoted where YAML would read them as something else.
"""

from collections.abc import Iterable, Sequence
from itertools import chain, count

from fastroute.graph.grant import EMPTY, Grants, Reference
from fastroute.graph.node import HolderId
from fastroute.resources.document import scalar
from fastroute.resources.gateway import GROUP, AllowedRoutes, LabelSelector, ListenerNamespaces, RouteNamespaces
from fastroute.resources.meta import Key

NAME_LABEL = "kubernetes.io/metadata.name"
LONGEST_NAME = 253


def grant_document(reference: Reference, grants: Grants) -> str:
    """The ReferenceGrant that allows exactly `reference`, under a name that is still free."""
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
  - group: {GROUP}
    kind: {reference.kind}
    namespace: {scalar(reference.namespace)}
  to:
  - group: {scalar(reference.to_group)}
    kind: {scalar(reference.to_kind)}
    name: {scalar(reference.to_name)}
"""


def _free_name(reference: Reference, grants: Grants) -> str:
    taken = {grant.metadata.name for grant in grants.get(reference.to_namespace, EMPTY).grants}
    name = f"{reference.namespace}-{reference.kind.lower()}s-to-{reference.to_name}"
    ends = chain([""], (f"-{number}" for number in count(2)))
    candidates = (f"{name[: LONGEST_NAME - len(end)]}{end}" for end in ends)
    return next(candidate for candidate in candidates if candidate not in taken)


def allowed_routes(
    holder: HolderId, listener: str, allowed: AllowedRoutes, wanted: Sequence[str], kinds: Iterable[str] = ()
) -> str:
    """The `allowedRoutes` that admits what the listener admits now, and routes of the namespaces `wanted`.

    `kinds`: what `allowedRoutes.kinds` must list, empty when it need not be written. Where the present selector cannot
    be widened by names, the stanza says so and names the label command instead.
    """
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
    return "\n".join(lines) + "\n"


def allowed_listeners(gateway: Key, allowed: ListenerNamespaces, wanted: str) -> str:
    """The `allowedListeners` that takes what the Gateway takes now, and ListenerSets of namespace `wanted`."""
    namespaces, labels = [wanted], list[str]()
    if allowed.from_ != "None":
        namespaces, labels = _admitted(gateway.namespace, allowed, (wanted,))
    lines = [f"# In Gateway {gateway}:"]
    if labels:
        lines += [
            "# This replaces a selector by labels. To keep that one, label the namespace instead:",
            f"#   kubectl label namespace {' '.join((wanted, *labels))}",
        ]
    return "\n".join([*lines, "allowedListeners:", *_namespaces(namespaces, gateway.namespace)]) + "\n"


def _namespaces(names: Sequence[str], own: str) -> list[str]:
    """The stanza `namespaces` that takes these by name; "*" is all."""
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
    """Namespaces to list by name, and labels (`key=value`) that the present selector wants instead."""
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
    """The names, when the selector is nothing but a list of namespace names."""
    expressions = selector.match_expressions
    if selector.match_labels or len(expressions) != 1:
        return None
    only = expressions[0]
    return only.values if only.key == NAME_LABEL and only.operator == "In" else None
