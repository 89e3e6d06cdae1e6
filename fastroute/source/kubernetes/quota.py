"""Quota: how much is kept of the objects of each namespace.

Some things are kept although a namespace decides how much there is of them. Without a limit, one namespace could fill
the memory of all replicas.
- The data of Secrets of type kubernetes.io/tls: a certificateRef may name them at any time.
- The CA certificates in ConfigMaps that policies and Gateways name, and in all ClusterTrustBundles together.
- The statuses of Gateways and routes, in which other controllers have entries too: they are compared with the wanted
  ones. One that is not kept is read again before it is written (writing/present.py).
What came first is kept; what was refused is kept when the object changes, or after the next listing, if there is room
by then.
"""

from collections import Counter

from fastroute.resources.core import ClusterTrustBundle, ConfigMap, Secret
from fastroute.resources.meta import Key, Resource

SECRETS = 128 * 1024 * 1024  # characters of base64: 20,000 certificates with their keys
CONFIG_MAPS = 16 * 1024 * 1024  # characters: 10,000 CA certificates
STATUSES = 16 * 1024 * 1024  # bytes of JSON for each kind: 20,000 routes with one parent


class Quota:
    """What is kept; `most` in each namespace. Several collections of a kind may share one."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._sizes: dict[Key, int] = {}
        self._totals: Counter[str] = Counter()  # by namespace

    def admit(self, key: Key, size: int) -> bool:
        """Whether there is room for an object of this size, instead of what was kept of it."""
        self.drop(key)
        if self._totals[key.namespace] + size > self.most:
            return False
        self._sizes[key] = size
        self._totals[key.namespace] += size
        return True

    def drop(self, key: Key) -> None:
        """Nothing is kept of the object any more."""
        self._totals[key.namespace] -= self._sizes.pop(key, 0)
        if not self._totals[key.namespace]:
            del self._totals[key.namespace]


def rooms() -> dict[type[Resource], Quota]:
    """For the data of each kind that has some. All collections of a kind share one."""
    return {Secret: Quota(SECRETS), ConfigMap: Quota(CONFIG_MAPS), ClusterTrustBundle: Quota(CONFIG_MAPS)}
