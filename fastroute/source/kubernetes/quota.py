"""Quota: how much data of the Secrets of a namespace is kept.

Every Secret of type kubernetes.io/tls is kept, because a certificateRef may name it at any time. Without a limit, the
Secrets of one namespace could fill the memory of all replicas. What came first is kept; data that was refused is kept
when the Secret changes, or after the next listing, if there is room by then.
"""

from collections import Counter

from fastroute.resources.core import Secret
from fastroute.resources.meta import Key

MOST = 128 * 1024 * 1024  # characters of base64 in a namespace: 20,000 certificates with their keys


class Quota:
    """The data that is kept."""

    def __init__(self) -> None:
        self._sizes: dict[Key, int] = {}
        self._totals: Counter[str] = Counter()  # by namespace

    def admit(self, secret: Secret) -> Secret:
        """The Secret, without its data if there is no room for it."""
        key, size = secret.key, secret.size
        self.drop(key)
        if self._totals[key.namespace] + size > MOST:
            return secret.without_data(
                f"is not read: the certificates and keys in Secrets of its namespace have more than {MOST >> 20} MiB"
            )
        self._sizes[key] = size
        self._totals[key.namespace] += size
        return secret

    def drop(self, key: Key) -> None:
        """The Secret is gone."""
        self._totals[key.namespace] -= self._sizes.pop(key, 0)
        if not self._totals[key.namespace]:
            del self._totals[key.namespace]
