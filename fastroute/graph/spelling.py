"""Fixes for misspelled kinds, groups and protocols: the corrected field, in YAML.

The schemas do not list the valid values of these fields, so a wrong value is found only when the object is resolved.
"""

from collections.abc import Iterable

from fastroute.nearest import nearest
from fastroute.resources.route_kinds import ROUTES

PROTOCOLS = ("HTTP", "HTTPS", "TLS", "TCP", "UDP")


def protocol_fix(written: str) -> str | None:
    """
    >>> protocol_fix("http"), protocol_fix("TCP"), protocol_fix("example.com/own")
    ('protocol: HTTP', None, None)
    """
    return _fix("protocol", written, PROTOCOLS)


def reference_fix(group: str, kind: str, wanted: str) -> str | None:
    r"""For a reference to `wanted`, a kind of the core group. A group with a domain may have its own kind of that name.

    >>> reference_fix("", "service", "Service"), reference_fix("core", "Service", "Service")
    ('kind: Service', 'group: ""')
    >>> reference_fix("v1", "Servcie", "Service"), reference_fix("serving.knative.dev", "Service", "Service")
    ('group: ""\nkind: Service', None)
    """
    if "." in group or nearest(kind, (wanted,)) is None:
        return None
    fields = [*(['group: ""'] if group else []), *([f"kind: {wanted}"] if kind != wanted else [])]
    return "\n".join(fields) or None


def kinds_fix(written: Iterable[str], served: Iterable[str]) -> str | None:
    r"""For `allowedRoutes.kinds`, if each entry is a served kind, misspelled or not.

    >>> kinds_fix(["httproute"], ["HTTPRoute"]), kinds_fix(["Pod"], ["HTTPRoute"])
    ('kinds:\n- kind: HTTPRoute', None)
    """
    served = frozenset(served)
    meant = [nearest(kind, (*ROUTES, *served)) for kind in written]
    if not meant or not served.issuperset(meant):
        return None
    return "\n".join(("kinds:", *(f"- kind: {kind}" for kind in dict.fromkeys(meant))))


def _fix(field: str, written: str, choices: tuple[str, ...]) -> str | None:
    near = None if written in choices else nearest(written, choices)
    return f"{field}: {near}" if near else None
