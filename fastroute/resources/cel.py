"""Rules over several fields: the CRDs' CEL rules for the kinds we read, and similar rules for core kinds
(core_rules.py). Those of routes are in route_rules.py, those of policies in policy_rules.py.

They check typed objects, so defaults are already filled in, as they are when the API server evaluates CEL. Each row of
`RULED_FIELDS` has the kinds, the field, and the rules with their messages. The table is turned into a tree of fields
once, so that an object is walked once, however many rules there are.

Source: x-kubernetes-validations of Gateway API v1.6.3 and v1.7.0, experimental channel; where they differ, everything
that one of them accepts is accepted. tests/cluster/test_schemas.py compares the rules with a real API server. Not
included: rules over old objects (GatewayClass.spec.controllerName is immutable, but a file has no old object) and rules
that a schema already covers.
"""

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from fastroute.resources.core_rules import CORE_RULED_FIELDS
from fastroute.resources.document import Pause, no_pause
from fastroute.resources.policy_rules import POLICY_RULED_FIELDS
from fastroute.resources.problem import Fault
from fastroute.resources.route_kinds import ROUTES
from fastroute.resources.rule import Offenders, Rule, RuledField, identity, must, trees, unique
from fastroute.resources.telemetry_rules import TELEMETRY_RULED_FIELDS

_HOSTNAME = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_WITHOUT_TLS = ("HTTP", "TCP", "UDP")
_WITHOUT_HOSTNAME = ("TCP", "UDP")

# --- Gateways


def _is_ip_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # the API allows no zone


def _prefix_is_short(key: str) -> bool:
    return len(key.split("/")[0]) < 253


def _long_prefixes(mapping: dict[str, str]) -> Offenders:
    return ((key,) for key in mapping if not _prefix_is_short(key))


def _terminates(listener: Any) -> bool:
    return listener.protocol != "HTTPS" or listener.tls is None or listener.tls.mode == "Terminate"


_ADDRESSES = (
    unique("IP addresses must be unique", lambda address: address.value if address.type == "IPAddress" else None),
    unique("host names must be unique", lambda address: address.value if address.type == "Hostname" else None),
)
_ADDRESS = (
    must(
        "value must be an IPv4 or IPv6 address when type is IPAddress",
        lambda address: address.type != "IPAddress" or address.value is None or _is_ip_address(address.value),
    ),
    must(
        "value must be a host name in lower case when type is Hostname",
        lambda address: address.type != "Hostname" or address.value is None or bool(_HOSTNAME.fullmatch(address.value)),
    ),
)
_LISTENERS = (
    unique(
        "the combination of port, protocol and hostname must be unique among the listeners",
        identity("port", "protocol", "hostname"),
    ),
)
_LISTENER = (
    must(
        "tls must not be set when protocol is HTTP, TCP or UDP",
        lambda listener: listener.protocol not in _WITHOUT_TLS or listener.tls is None,
    ),
    must("tls.mode must be Terminate when protocol is HTTPS", _terminates),
    must(
        "tls and its mode must be set when protocol is TLS",
        lambda listener: listener.protocol != "TLS" or listener.tls is not None,
    ),
    must(
        "hostname must not be set when protocol is TCP or UDP",
        lambda listener: listener.protocol not in _WITHOUT_HOSTNAME or not listener.hostname,
    ),
)
_LISTENER_TLS = (
    must(
        "certificateRefs or options must be set when mode is Terminate",
        lambda tls: tls.mode != "Terminate" or bool(tls.certificate_refs) or bool(tls.options),
    ),
)
_PREFIX = (Rule("the prefix of the key must be shorter than 253 characters", _long_prefixes),)

# --- The table

_WITH_LISTENERS = ("Gateway", "ListenerSet")

RULED_FIELDS = (
    RuledField(("Gateway",), "spec.addresses", _ADDRESSES),
    RuledField(("Gateway",), "spec.addresses[]", _ADDRESS),
    RuledField(_WITH_LISTENERS, "spec.listeners", _LISTENERS),
    RuledField(_WITH_LISTENERS, "spec.listeners[]", _LISTENER),
    RuledField(_WITH_LISTENERS, "spec.listeners[].tls", _LISTENER_TLS),
    RuledField(("Gateway",), "spec.infrastructure.labels", _PREFIX),
    RuledField(("Gateway",), "spec.infrastructure.annotations", _PREFIX),
    *(RuledField((kind.name,), where, rules) for kind in ROUTES.values() for where, rules in kind.rules),
    *POLICY_RULED_FIELDS,
    *TELEMETRY_RULED_FIELDS,
    *CORE_RULED_FIELDS,
)


_TREES = trees(RULED_FIELDS)


def faults(kind: str, resource: Any, pause: Pause = no_pause) -> Iterator[Fault]:
    """The violations, by a typed object, of the rules over several fields."""
    if kind in _TREES:
        yield from _TREES[kind].faults(resource, pause=pause)
