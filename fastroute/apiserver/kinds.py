"""The kinds that are read from an API server, as one table: their paths, selectors and permissions.

All Services and EndpointSlices are watched, with one watch each: 5,000 of each are 32 MB. To watch only those that
routes name would need one watch per object (a field selector matches one name), and a new route would wait for two
lists before it is served.
Secrets are the exception, since most are irrelevant to a gateway: one watch includes those of type kubernetes.io/tls; a
Secret of another type that a certificateRef names is watched by its name. ConfigMaps are watched only by name.
ClusterTrustBundles are few, and only administrators create them: all are watched, if the API server has the kind.
"""

import re
from typing import NamedTuple

from fastroute.resources.core import CERTIFICATES
from fastroute.resources.decode import KINDS
from fastroute.resources.gateway import EXPERIMENTAL, GROUP
from fastroute.resources.meta import Key, Resource
from fastroute.resources.route_kinds import ROUTES

VERBS = ("list", "watch")  # the verbs that a watch needs
CRD_GROUP = "apiextensions.k8s.io"
CRDS = "customresourcedefinitions"


class Followed(NamedTuple):
    """One row. `resources.decode.KINDS` has the type and the versions of (group, kind)."""

    group: str
    kind: str
    plural: str
    selector: str = ""  # the fieldSelector of the watch
    needed: bool = False  # nothing can be served without it: if refused (403), the start waits for it
    has_status: bool = False  # fastroute writes its status, so the current one is held
    labels: bool = False  # whether labels are read
    by_name: bool = False  # only objects that others name are read (source/kubernetes/named.py)
    optional: bool = False  # of Kubernetes itself, but not every API server has it

    @property
    def type(self) -> type[Resource]:
        return KINDS[self.group, self.kind].type

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions that can be read, the best first."""
        return KINDS[self.group, self.kind].versions

    @property
    def is_custom(self) -> bool:
        """Whether a CRD defines the kind, which may not be installed."""
        return self.group in (GROUP, EXPERIMENTAL)

    @property
    def is_expected(self) -> bool:
        """Whether it is worth a warning if an API server does not have it."""
        return not self.optional and self.group != EXPERIMENTAL

    @property
    def is_namespaced(self) -> bool:
        """Whether its objects are in namespaces."""
        return not KINDS[self.group, self.kind].cluster

    @property
    def words(self) -> str:
        """The plural for messages: "BackendTLSPolicies"."""
        word = re.sub(r"([^aeiou])y$", r"\1ie", self.kind)
        return f"{word}es" if word.endswith("s") else f"{word}s"

    @property
    def crd(self) -> str:
        return f"{self.plural}.{self.group}"


FOLLOWED = (
    Followed(GROUP, "GatewayClass", "gatewayclasses", needed=True, has_status=True),
    Followed(GROUP, "Gateway", "gateways", needed=True, has_status=True),
    Followed(GROUP, "ListenerSet", "listenersets", has_status=True),
    *(Followed(GROUP, kind.name, kind.plural, needed=kind.is_needed, has_status=True) for kind in ROUTES.values()),
    Followed(GROUP, "ReferenceGrant", "referencegrants", needed=True),
    # Without policies, backends would get cleartext.
    Followed(GROUP, "BackendTLSPolicy", "backendtlspolicies", needed=True, has_status=True),
    Followed(EXPERIMENTAL, "XTelemetryPolicy", "xtelemetrypolicies", has_status=True),
    Followed("", "Namespace", "namespaces", needed=True, labels=True),
    Followed("", "Service", "services", needed=True),
    Followed("discovery.k8s.io", "EndpointSlice", "endpointslices", needed=True, labels=True),
    Followed("", "Secret", "secrets", selector="type=kubernetes.io/tls"),
    Followed("", "ConfigMap", "configmaps", by_name=True),
    Followed(CERTIFICATES, "ClusterTrustBundle", "clustertrustbundles", optional=True),
)
BY_KIND = {followed.kind: followed for followed in FOLLOWED}
CERTAIN = frozenset(  # kinds that every API server has, and of which all objects are read
    row.kind for row in FOLLOWED if not (row.is_custom or row.by_name or row.optional)
)


def rights() -> dict[tuple[str, str], tuple[str, ...]]:
    """The verbs that reading needs, by (group, resource): the reading part of the ClusterRole."""
    return {**cluster_rights(), **namespace_rights()}


def cluster_rights() -> dict[tuple[str, str], tuple[str, ...]]:
    """Those for what is in no namespace: the reading part of the ClusterRole with --watch-namespace."""
    return dict.fromkeys([(CRD_GROUP, CRDS), *((f.group, f.plural) for f in FOLLOWED if not f.is_namespaced)], VERBS)


def namespace_rights() -> dict[tuple[str, str], tuple[str, ...]]:
    """Those for what is in a namespace: the reading part of each Role with --watch-namespace."""
    return dict.fromkeys(((f.group, f.plural) for f in FOLLOWED if f.is_namespaced), VERBS)


def collection(group: str, version: str, plural: str, namespace: str = "") -> str:
    """The path of all objects of a kind, or of those in one namespace."""
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


def member(kind: str, version: str, key: Key) -> str:
    """The path of one object."""
    row = BY_KIND[kind]
    return f"{collection(row.group, version, row.plural, key.namespace)}/{key.name}"
