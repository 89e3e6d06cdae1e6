"""The pods in manifests: each endpoint of an EndpointSlice is a pod, which an echo server can simulate.

Examples and golden manifests use ports from 18001 on, which may be in use. Therefore manifests are copied, and every
such port of every EndpointSlice is replaced by a port that is free on all loopback addresses.
"""

import ipaddress
import random
import re
import socket
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import msgspec

from fastroute.errors import FastrouteError
from fastroute.resources.core import SERVICE_NAME_LABEL, EndpointSlice

_PLACEHOLDER = re.compile(r"\bport: (18\d{3})\b")
_PORTS = range(24_000, 32_000)
_BETWEEN = re.compile(r"^---[^\n]*\n", re.MULTILINE)
_IS_SLICE = re.compile(r"^kind: EndpointSlice\b", re.MULTILINE)


class Pod(msgspec.Struct, frozen=True, order=True):
    """One address and port, and the pod it belongs to."""

    namespace: str
    service: str
    name: str
    address: str
    port: int


def pods(slices: Iterable[EndpointSlice]) -> tuple[Pod, ...]:
    """Every loopback endpoint of the slices once, ready or not; its pod is named after the slice and its index."""
    found: dict[tuple[str, int], Pod] = {}
    for piece in slices:
        for index, endpoint in enumerate(piece.endpoints or ()):
            for port in piece.ports or ():
                if port.port is not None and _is_loopback(endpoint.addresses[0]):
                    pod = Pod(
                        namespace=piece.metadata.namespace,
                        service=piece.metadata.labels.get(SERVICE_NAME_LABEL, ""),
                        name=f"{piece.metadata.name}-{index}",
                        address=endpoint.addresses[0],
                        port=port.port,
                    )
                    found.setdefault((pod.address, pod.port), pod)
    return tuple(sorted(found.values()))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def free_ports(count: int) -> list[int]:
    """Ports that are free now on all loopback addresses, below the ephemeral port range."""
    tried = random.sample(_PORTS, len(_PORTS))
    found = list(islice(filter(is_free, tried), count))
    if len(found) < count:
        raise FastrouteError(f"found fewer than {count} free ports from {_PORTS.start} on; stop some other servers")
    return found


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def with_free_ports(text: str) -> str:
    """A stream of YAML documents in which the placeholders of each EndpointSlice are replaced by free ports."""
    documents = _BETWEEN.split(text)
    return "---\n".join(_placed(each) if _IS_SLICE.search(each) else each for each in documents)


def _placed(document: str) -> str:
    wanted = sorted(set(_PLACEHOLDER.findall(document)))
    ports = dict(zip(wanted, free_ports(len(wanted)), strict=True))
    return _PLACEHOLDER.sub(lambda found: f"port: {ports[found[1]]}", document)


def copy_manifests(source: Path, target: Path) -> None:
    """Copies the YAML files below `source`, with free ports instead of placeholders."""
    for path in sorted(source.rglob("*.yaml")):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(with_free_ports(path.read_text()))
