"""Crds: which Gateway API CRDs are installed, and of which release, from their metadata (not their schemas)."""

from collections.abc import Iterable, Mapping

import msgspec

from fastroute.apiserver.kinds import FOLLOWED
from fastroute.resources.gateway import GROUP
from fastroute.source.kubernetes.backlog import Notice

BUNDLE_VERSION = f"{GROUP}/bundle-version"
REFERENCE = f"gateways.{GROUP}"  # the CRD whose release is used for all of them
OURS = frozenset(row.crd for row in FOLLOWED if row.is_custom)


class _Metadata(msgspec.Struct, frozen=True):
    name: str
    annotations: dict[str, str] = {}


class _Crd(msgspec.Struct, frozen=True):
    metadata: _Metadata


_CRD = msgspec.json.Decoder(_Crd)


class Crds:
    """The installed CRDs, from the notices of a watch of all CRDs."""

    def __init__(self) -> None:
        self._installed: dict[str, str] | None = None  # release ("" if not annotated) by name; None: not listed yet
        self._listing: dict[str, str] | None = None  # while a listing is in progress

    @property
    def installed(self) -> Mapping[str, str] | None:
        """Release by the CRD's name; None: not known yet."""
        return self._installed

    @property
    def is_known(self) -> bool:
        return self._installed is not None

    @property
    def bundle_version(self) -> str | None:
        """ "v1.6.3"; None: not known."""
        return (self._installed or {}).get(REFERENCE) or None

    def take(self, notices: Iterable[Notice]) -> None:
        """Raises msgspec.DecodeError."""
        for notice in notices:
            match notice.what:
                case "Begun":
                    self._listing = {}
                case "Complete":
                    self._installed, self._listing = self._listing, None
                case what:
                    self._take_one(what, _CRD.decode(notice.content).metadata)

    def _take_one(self, what: str, metadata: _Metadata) -> None:
        known = self._installed if self._listing is None else self._listing
        if metadata.name not in OURS or known is None:
            return
        if what == "Gone":
            known.pop(metadata.name, None)
        else:
            known[metadata.name] = metadata.annotations.get(BUNDLE_VERSION, "")
