"""Crds: which Gateway API CRDs are installed, and of which release, from their metadata (not their schemas).

The log names installed CRDs of experimental kinds that are not served: users may expect that their objects take effect.
"""

import logging
from collections.abc import Iterable, Mapping

import msgspec

from fastroute.apiserver.kinds import FOLLOWED
from fastroute.resources.gateway import EXPERIMENTAL, GROUP
from fastroute.source.kubernetes.backlog import Notice

BUNDLE_VERSION = f"{GROUP}/bundle-version"
REFERENCE = f"gateways.{GROUP}"  # the CRD whose release is used for all of them
OURS = frozenset(row.crd for row in FOLLOWED if row.is_custom)
UNSERVED = {
    f"xbackends.{EXPERIMENTAL}": "XBackends are not served: the share of such a backendRef is answered with 500",
    f"xbackendtrafficpolicies.{EXPERIMENTAL}": "XBackendTrafficPolicies are not served: they have no effect",
}

_log = logging.getLogger(__name__)


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
        self._told: set[str] = set()  # the CRDs of kinds that are not served

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
        self._tell_unserved()

    def _tell_unserved(self) -> None:
        """Once for each time that such a CRD is installed."""
        found = UNSERVED.keys() & (self._installed or {}).keys()
        for name in sorted(found - self._told):
            _log.warning("The CRD %s is installed. %s", name, UNSERVED[name])
        self._told = found

    def _take_one(self, what: str, metadata: _Metadata) -> None:
        known = self._installed if self._listing is None else self._listing
        if (metadata.name not in OURS and metadata.name not in UNSERVED) or known is None:
            return
        if what == "Gone":
            known.pop(metadata.name, None)
        else:
            known[metadata.name] = metadata.annotations.get(BUNDLE_VERSION, "")
