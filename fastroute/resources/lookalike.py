"""Lookalike: the known kind that an object was probably meant to be, if its own group and kind are not read.

Kinds of other groups can have the same names as known kinds (`serving.knative.dev` Service, `networking.istio.io`
Gateway), so the name alone is not enough: the group must be one of Kubernetes' own groups, a former group of the
Gateway API, or similar to the group of a known kind.
"""

from functools import lru_cache

from fastroute.resources.gateway import EXPERIMENTAL, GROUP

OLD_GROUPS = frozenset({"networking.x-k8s.io", EXPERIMENTAL})
OLD_KINDS = {"ReferencePolicy": "ReferenceGrant", "XListenerSet": "ListenerSet"}  # former name: current name
_MOST_EDITS = 2  # in the name of a kind
_MOST_EDITS_OF_GROUP = 4
_LONGEST = 63  # longer kinds and groups are not compared
_LEAST_LENGTH = 6  # shorter kinds are too similar to others

Name = tuple[str, str]  # group and kind


@lru_cache(maxsize=1024)
def lookalike(group: str, kind: str, known: tuple[Name, ...]) -> Name | None:
    """The kind in `known` that was probably meant by `group` and `kind`, which are not in it; None: another kind."""
    if len(kind) > _LONGEST or len(group) > _LONGEST or not _may_be_ours(group):
        return None
    wanted = OLD_KINDS.get(kind, kind)
    ranked = sorted((edits(wanted.lower(), name.lower()), home != group, home, name) for home, name in known)
    distance, _, home, name = ranked[0]
    if distance == 0 or (distance <= _MOST_EDITS and len(wanted) >= _LEAST_LENGTH):
        return home, name
    return None


def is_gateway_api(group: str) -> bool:
    """Whether every kind of `group` belongs to the Gateway API, served or not."""
    return group in (GROUP, EXPERIMENTAL)


def _may_be_ours(group: str) -> bool:
    if "." not in group:  # core, apps, or a group without its domain
        return True
    own = group.endswith(".k8s.io") and not group.endswith(".x-k8s.io")
    return own or group in OLD_GROUPS or edits(group, GROUP) <= _MOST_EDITS_OF_GROUP


def edits(one: str, other: str) -> int:
    """The number of characters to add, remove, replace, or swap with the next one, to turn `one` into `other`.

    >>> edits("httprout", "httproute"), edits("gatweay", "gateway"), edits("pod", "service")
    (1, 1, 7)
    """
    rows = [list(range(len(other) + 1))]
    for i, character in enumerate(one, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            cost = min(rows[-1][j] + 1, row[j - 1] + 1, rows[-1][j - 1] + (character != wanted))
            if i > 1 and j > 1 and (character, one[i - 2]) == (other[j - 2], wanted):
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows = [rows[-1], row]
    return rows[-1][-1]
