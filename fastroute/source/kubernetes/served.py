"""Served: which of the kinds an API server has, in which version, and which are missing.

Discovery says what is served, the CRDs what is installed; both may change at any time. A kind that is watched is
dropped only if its CRD was removed, or no version that fastroute reads is left: discovery of a server that has just
started may be incomplete. If CRDs cannot be read, the kind is dropped after it was absent from discovery for a while
(source.py).
"""

from collections.abc import Mapping

import msgspec

from fastroute.apiserver.client import ApiError, Client
from fastroute.apiserver.kinds import BY_KIND, FOLLOWED, Followed

BLIND_PATIENCE = 40.0  # s; if CRDs cannot be read, a kind must be absent from discovery for so long to be removed
Found = Mapping[str, tuple[str, ...]]  # by plural: the served versions
GROUPS = tuple(dict.fromkeys(row.group for row in FOLLOWED if row.is_custom or row.optional))
Installed = Mapping[str, str]  # by the CRD's name: its bundle version, or ""


class Served(msgspec.Struct, frozen=True):
    """The kinds to watch."""

    versions: Mapping[str, str]  # by kind
    missing: Mapping[str, str]  # by kind: the reason
    doubted: frozenset[str] = frozenset()  # the missing kinds that discovery may only not have found yet
    is_settled: bool = True  # discovery and CRDs agree


class Doubts:
    """The watched kinds that discovery does not contain, and since when: it may only miss them temporarily."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def trusted(self, served: Served, watched: Mapping[str, str], *, is_told: bool, now: float) -> Served:
        """`served`, but of the kinds in `watched` (with their versions), those that are still doubted are kept.
        `is_told`: the end of a CRD is noticed."""
        self._since = {kind: self._since.get(kind, now) for kind in served.doubted if kind in watched}
        told = {kind for kind in self._since if is_told and BY_KIND[kind].is_custom}
        kept = told | {kind for kind, since in self._since.items() if now - since < BLIND_PATIENCE}
        versions = {kind: watched[kind] for kind in kept}
        missing = {kind: why for kind, why in served.missing.items() if kind not in kept}
        return msgspec.structs.replace(served, versions={**served.versions, **versions}, missing=missing)


class _GroupVersion(msgspec.Struct, frozen=True):
    version: str


class _Group(msgspec.Struct, frozen=True):
    versions: list[_GroupVersion] = []


class _Resource(msgspec.Struct, frozen=True):
    name: str


class _Resources(msgspec.Struct, frozen=True):
    resources: list[_Resource] | None = None


async def discover(client: Client) -> Found:
    """The versions of each resource in the groups of which the API server may not have everything. Raises ApiError."""
    found: dict[str, tuple[str, ...]] = {}
    for group in GROUPS:
        for version in await _versions(client, group):
            content = await client.request("GET", f"/apis/{group}/{version}")
            for resource in msgspec.json.decode(content, type=_Resources).resources or ():
                found[resource.name] = (*found.get(resource.name, ()), version)
    return found


async def _versions(client: Client, group: str) -> list[str]:
    try:
        content = await client.request("GET", f"/apis/{group}")
    except ApiError as error:
        if error.status == 404:
            return []
        raise
    return [each.version for each in msgspec.json.decode(content, type=_Group).versions]


def judge(found: Found, installed: Installed | None) -> Served:
    """`installed` None: not known, only discovery decides."""
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    doubted: set[str] = set()
    settled = True
    for row in FOLLOWED:
        if not (row.is_custom or row.optional):
            versions[row.kind] = row.versions[0]
            continue
        offered = found.get(row.plural, ())
        is_installed = bool(offered) if row.optional or installed is None else row.crd in installed
        version = next((each for each in row.versions if each in offered), None)
        settled &= is_installed == bool(offered)
        if version is not None and is_installed:
            versions[row.kind] = version
        else:
            missing[row.kind] = _why(row, offered if is_installed else None)
            if not offered and (is_installed or row.optional or installed is None):
                doubted.add(row.kind)
    return Served(versions, missing, frozenset(doubted), settled)


def _why(row: Followed, offered: tuple[str, ...] | None) -> str:
    if row.optional and not offered:
        return f"the API server does not serve {row.crd}"
    if offered is None:
        return f"the CRD {row.crd} is not installed"
    if not offered:
        return f"the CRD {row.crd} is installed, but the API server does not serve it yet"
    return f"the API server serves {row.crd} as {', '.join(offered)}; fastroute reads {' and '.join(row.versions)}"


def why_refused(row: Followed, error: ApiError) -> str:
    """Why an optional kind is missing although the API server has it."""
    need = f": the ClusterRole needs list and watch on {row.crd}" if error.status == 403 else f" ({error})"
    return f"{row.words} cannot be read{need}"
