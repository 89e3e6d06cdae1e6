"""Shapes of the routes for connections and datagrams (L4), by version of the API.

The deprecated versions differ: they allow several rules and, for routes with hostnames, none.
"""

from collections.abc import Mapping
from typing import Any

from fastroute.resources.schema import List, Record
from fastroute.resources.shape import BACKEND_REF_FIELDS, HOSTNAME, PARENT_REF, SCOPE, SUBDOMAIN_NAME

MOST_HOSTNAMES = 1024
_BACKEND_REF = Record(required=("name",), fields=BACKEND_REF_FIELDS)
_RULE = Record(
    required=("backendRefs",),
    fields={"name": SUBDOMAIN_NAME, "backendRefs": List(least=1, most=16, of=_BACKEND_REF)},
)


def _spec(rules: int, *required: str, **more: Any) -> Record:
    return Record(
        required=(*required, "rules"),
        fields={
            "parentRefs": List(most=32, of=PARENT_REF),
            "useDefaultGateways": SCOPE,
            **more,
            "rules": List(least=1, most=rules, of=_RULE),
        },
    )


SPEC = _spec(1)
OLDER: Mapping[str, Record] = {"v1alpha2": _spec(16)}  # by version
NAMED_SPEC = _spec(1, "hostnames", hostnames=List(least=1, most=MOST_HOSTNAMES, of=HOSTNAME))  # with hostnames
NAMED_OLDER: Mapping[str, Record] = {"v1alpha2": _spec(16, hostnames=List(most=MOST_HOSTNAMES, of=HOSTNAME))}
