"""The kinds we read from an API server, as one table: where they are, how much of each, and what it costs in rights.

Services and EndpointSlices are all followed, one watch each: 5,000 of each are 32 MB. Watching only those that routes
name would take one watch for each of them (a field selector takes one name), and would make a new route wait for two
lists before it is served.
Secrets are the exception, since most of them are none of our business: those of type kubernetes.io/tls in one watch,
and of other types those that a certificateRef names, each by its name.
"""

import re
from typing import NamedTuple

from fastroute.resources.decode import KINDS
from fastroute.resources.gateway import GROUP
from fastroute.resources.meta import Key, Resource

VERBS = ("list", "watch")  # what following a kind needs
CRD_GROUP = "apiextensions.k8s.io"
CRDS = "customresourcedefinitions"


class Followed(NamedTuple):
    """One row. `kind` of (group, kind) is typed and versioned by `resources.decode.KINDS`."""

    group: str
    kind: str
    plural: str
    selector: str = ""  # fieldSelector of the one watch
    needed: bool = False  # without it nothing can be served: a refusal (403) is waited out at the start
    has_status: bool = False  # we write its status, so what it says now is held
    labels: bool = False  # are read

    @property
    def type(self) -> type[Resource]:
        return KINDS[self.group, self.kind].type

    @property
    def versions(self) -> tuple[str, ...]:
        """That we can read, the best first."""
        return KINDS[self.group, self.kind].versions

    @property
    def is_custom(self) -> bool:
        """Whether a CRD defines it, which may be missing."""
        return self.group == GROUP

    @property
    def words(self) -> str:
        """Several of them, in a sentence: "BackendTLSPolicies"."""
        word = re.sub(r"([^aeiou])y$", r"\1ie", self.kind)
        return f"{word}es" if word.endswith("s") else f"{word}s"

    @property
    def crd(self) -> str:
        return f"{self.plural}.{self.group}"


FOLLOWED = (
    Followed(GROUP, "GatewayClass", "gatewayclasses", needed=True, has_status=True),
    Followed(GROUP, "Gateway", "gateways", needed=True, has_status=True),
    Followed(GROUP, "ListenerSet", "listenersets", has_status=True),
    Followed(GROUP, "HTTPRoute", "httproutes", needed=True, has_status=True),
    Followed(GROUP, "GRPCRoute", "grpcroutes", has_status=True),
    Followed(GROUP, "ReferenceGrant", "referencegrants", needed=True),
    Followed(GROUP, "BackendTLSPolicy", "backendtlspolicies", needed=True),  # unseen, backends would get cleartext
    Followed("", "Namespace", "namespaces", needed=True, labels=True),
    Followed("", "Service", "services", needed=True),
    Followed("discovery.k8s.io", "EndpointSlice", "endpointslices", needed=True, labels=True),
    Followed("", "Secret", "secrets", selector="type=kubernetes.io/tls"),
)
BY_KIND = {followed.kind: followed for followed in FOLLOWED}


def rights() -> dict[tuple[str, str], tuple[str, ...]]:
    """Verbs by (group, resource) that reading needs: the reading half of our ClusterRole."""
    return dict.fromkeys([(CRD_GROUP, CRDS), *((f.group, f.plural) for f in FOLLOWED)], VERBS)


def collection(group: str, version: str, plural: str, namespace: str = "") -> str:
    """The path of all objects of a kind."""
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


def member(kind: str, version: str, key: Key) -> str:
    """The path of one object."""
    row = BY_KIND[kind]
    return f"{collection(row.group, version, row.plural, key.namespace)}/{key.name}"
