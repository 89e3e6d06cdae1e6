"""Parts of shapes that many kinds share: names, references, and what every object has (apimachinery's rules)."""

from ipaddress import ip_address
from typing import Any

from fastroute.resources.schema import Advice, Anything, List, Map, Record, Text, Whole

SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_FIELD_NAME = r"[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+"
PREFIXED_PATH = r"\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+"


def hostname_advice(written: str) -> Advice:
    """
    >>> hostname_advice("https://a.com:8443/b"), hostname_advice("[::1]:80")[0], hostname_advice("*")[0]
    (('', 'a.com'), ' (an IP address is not a host name)', ' (omit it to match any host)')
    """
    if written == "*":
        return " (omit it to match any host)", None
    authority = written.rpartition("://")[2].partition("/")[0]
    host = authority if authority.count(":") > 1 else authority.partition(":")[0]
    try:
        ip_address(host.partition("]")[0].removeprefix("["))
    except ValueError:
        return "", host
    return " (an IP address is not a host name)", None


ANY = Text()
NAME = Text(least=1, most=253)
SUBDOMAIN_NAME = Text(least=1, most=253, form=rf"^{SUBDOMAIN}\Z", like="a DNS name in lower case")
LABEL_NAME = Text(least=1, most=63, form=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z", like="a DNS label in lower case")
SERVICE_NAME = Text(
    least=1, most=63, form=r"^[a-z]([-a-z0-9]*[a-z0-9])?\Z", like="a DNS label in lower case that begins with a letter"
)
HOSTNAME = Text(
    least=1,
    most=253,
    form=rf"^(\*\.)?{SUBDOMAIN}\Z",
    like="a host name in lower case, optionally after '*.', without a port",
    advise=hostname_advice,
)
PRECISE_HOSTNAME = Text(
    least=1,
    most=253,
    form=rf"^{SUBDOMAIN}\Z",
    like="a host name in lower case, without a port",
    advise=hostname_advice,
)
GROUP_NAME = Text(most=253, form=rf"^\Z|^{SUBDOMAIN}\Z", like='an API group, or "" for core')
KIND_NAME = Text(least=1, most=63, form=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?\Z", like="a kind such as Service")
INT32 = 2**31 - 1
INT64 = 2**63 - 1
PORT = Whole(least=1, most=65535)
DURATION = Text(form=r"^([0-9]{1,5}(h|m|s|ms)){1,4}\Z", like='a duration such as "500ms" or "1m30s"', unit="s")
HEADER_NAME = Text(least=1, most=256, form=rf"^{_FIELD_NAME}\Z", like="an HTTP field name")
# The CRD has ^[!-~]+([\t ]?[!-~]+)*$. This pattern matches the same strings without backtracking.
HEADER_VALUE = Text(
    least=1, most=4096, form=r"^[!-~]+([\t ][!-~]+)*\Z", like="printable ASCII with single spaces or tabs inside"
)
SCOPE = Text(choices=("All", "None"))
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
MATCH_TYPE = Text(choices=("Exact", "RegularExpression"))

# --- What every object has

_QUALIFIED = rf"^({SUBDOMAIN}/)?([A-Za-z0-9][-A-Za-z0-9_.]{{0,61}})?[A-Za-z0-9]\Z"
LABEL_KEY = Text(least=1, most=317, form=_QUALIFIED, like="a label name such as app or example.com/app")
LABEL_VALUE = Text(
    most=63,
    form=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?\Z",
    like="a label value (letters, digits, '-', '_', '.')",
)
_LABELS = Map(keys=LABEL_KEY, of=LABEL_VALUE)
_TIME = Text(
    form=r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[-+]\d\d:\d\d)\Z",
    like='a time such as "2026-01-31T12:00:00Z"',
)


def _metadata(name: Text, *, cluster: bool = False) -> Record:
    return Record(
        required=("name",),
        fields={
            "name": name,
            "generateName": ANY,
            "namespace": Anything() if cluster else LABEL_NAME,
            "generation": Whole(least=0, most=INT64),
            "creationTimestamp": _TIME,
            "deletionTimestamp": _TIME,
            "deletionGracePeriodSeconds": Whole(),
            "resourceVersion": ANY,
            "uid": ANY,
            "selfLink": ANY,
            "labels": _LABELS,
            "annotations": Map(keys=LABEL_KEY, of=ANY),
            "finalizers": List(of=ANY),
            "ownerReferences": Anything(),
            "managedFields": Anything(),
        },
    )


def kind(*required: str, name: Text = SUBDOMAIN_NAME, cluster: bool = False, **fields: Any) -> Record:
    metadata = _metadata(name, cluster=cluster)
    every = {"apiVersion": ANY, "kind": ANY, "metadata": metadata, "status": Anything()}
    return Record(fields={**every, **fields}, required=("metadata", *required))


# --- References

PARAMETERS_REF = Record(
    required=("group", "kind", "name"),
    fields={"group": GROUP_NAME, "kind": KIND_NAME, "name": NAME, "namespace": LABEL_NAME},
)
LOCAL_REF = Record(required=("group", "kind", "name"), fields={"group": GROUP_NAME, "kind": KIND_NAME, "name": NAME})
SECRET_REF = Record(
    required=("name",), fields={"group": GROUP_NAME, "kind": KIND_NAME, "name": NAME, "namespace": LABEL_NAME}
)
PARENT_REF = Record(
    required=("name",),
    fields={
        "group": GROUP_NAME,
        "kind": KIND_NAME,
        "namespace": LABEL_NAME,
        "name": NAME,
        "sectionName": SUBDOMAIN_NAME,
        "port": PORT,
    },
)
BACKEND_OBJECT_REF_FIELDS: dict[str, Any] = {
    "group": GROUP_NAME,
    "kind": KIND_NAME,
    "name": NAME,
    "namespace": LABEL_NAME,
    "port": PORT,
}
BACKEND_REF_FIELDS: dict[str, Any] = {**BACKEND_OBJECT_REF_FIELDS, "weight": Whole(least=0, most=1_000_000)}
BACKEND_OBJECT_REF = Record(required=("name",), fields=BACKEND_OBJECT_REF_FIELDS)
