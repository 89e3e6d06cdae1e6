"""Rules over several fields of Service, Secret and EndpointSlice, as the API server implements them in code."""

import base64
import ipaddress
from collections.abc import Callable
from typing import Any

from fastroute.resources.rule import Offenders, Rule, RuledField, identity, unique

_FAMILIES = {"IPv4": ipaddress.IPv4Address, "IPv6": ipaddress.IPv6Address}


def _addresses_where(judge: Callable[[Any, str], bool]) -> Callable[[Any], Offenders]:
    """Addresses of a slice for which `judge(address class of the addressType, address)` is true; none for type FQDN."""

    def offenders(endpoint_slice: Any) -> Offenders:
        family = _FAMILIES.get(endpoint_slice.address_type)
        for index, endpoint in enumerate((endpoint_slice.endpoints or ()) if family else ()):
            for number, address in enumerate(endpoint.addresses):
                if judge(family, address):
                    yield ("endpoints", index, "addresses", number)

    return offenders


def _is_foreign(family: Any, address: str) -> bool:
    try:
        family(address)
    except ValueError:
        return True
    return False


def _is_no_pods(family: Any, address: str) -> bool:
    """As in the API server, but loopback is allowed. A link-local address may be a cloud's metadata service."""
    if _is_foreign(family, address):
        return False  # reported by the other rule
    parsed = family(address)
    return bool(parsed.is_unspecified or parsed.is_link_local or parsed.is_multicast)


def _not_base64(data: dict[str, str]) -> Offenders:
    for name, value in data.items():
        try:
            base64.b64decode("".join(value.split()), validate=True)
        except ValueError:
            yield (name,)


_SERVICE_PORTS = (
    unique("the combination of port and protocol must be unique among the ports", identity("port", "protocol")),
    unique("name must be unique among the ports", lambda port: port.name or None),
    Rule(
        "name must be set when a Service has several ports",
        lambda ports: ((index,) for index, port in enumerate(ports) if len(ports) > 1 and not port.name),
    ),
)
_SLICE_PORTS = (unique("name must be unique among the ports", lambda port: port.name),)
_SECRET_DATA = (Rule("must be base64 (use stringData for plain text)", _not_base64),)
_SLICE = (
    Rule("must be an address of the slice's addressType", _addresses_where(_is_foreign)),
    Rule("must not be an unspecified, link-local or multicast address", _addresses_where(_is_no_pods)),
)

CORE_RULED_FIELDS = (
    RuledField(("Service",), "spec.ports", _SERVICE_PORTS),
    RuledField(("Secret",), "data", _SECRET_DATA),
    RuledField(("EndpointSlice",), "", _SLICE),
    RuledField(("EndpointSlice",), "ports", _SLICE_PORTS),
)
