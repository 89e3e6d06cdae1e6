"""The pods that manifests speak of: every endpoint of an EndpointSlice is one, for an echo server to stand in for.

Examples and golden manifests name ports from 18001 on. Nobody promises that these are free, so manifests are copied and
every such port is replaced by one that is: the same port of several addresses stays one port.
"""

import re
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from fastroute.resources.core import SERVICE_NAME_LABEL, EndpointSlice

_PLACEHOLDER = re.compile(r"\bport: (18\d{3})\b")
_MANIFESTS = (".yaml", ".yml", ".json")


class Pod(msgspec.Struct, frozen=True, order=True):
    """One address and port, and whose it is."""

    namespace: str
    service: str
    name: str
    address: str
    port: int


def pods(slices: Iterable[EndpointSlice]) -> tuple[Pod, ...]:
    """Every endpoint of the slices, ready or not, sorted; a pod is named after its slice and its place in it."""
    found = {
        Pod(
            namespace=piece.metadata.namespace,
            service=piece.metadata.labels.get(SERVICE_NAME_LABEL, ""),
            name=f"{piece.metadata.name}-{index}",
            address=endpoint.addresses[0],
            port=port.port,
        )
        for piece in slices
        for index, endpoint in enumerate(piece.endpoints)
        for port in piece.ports
        if port.port is not None
    }
    return tuple(sorted(found))


def placeholders(text: str) -> set[int]:
    """The ports 18001, 18002, ... that a manifest names."""
    return {int(port) for port in _PLACEHOLDER.findall(text)}


def placed(text: str, ports: Mapping[int, int]) -> str:
    """`text` with every placeholder replaced."""
    return _PLACEHOLDER.sub(lambda found: f"port: {ports.get(int(found[1]), int(found[1]))}", text)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, on any loopback address, at this moment."""
    held = []
    try:
        for _ in range(count):
            holder = socket.socket()
            holder.bind(("", 0))
            held.append(holder)
        return [holder.getsockname()[1] for holder in held]
    finally:
        for holder in held:
            holder.close()


def copy_manifests(source: Path, target: Path, ports: Mapping[int, int] | None = None) -> dict[int, int]:
    """Copies the manifests below `source` with free ports for placeholders; gives what stands for what."""
    texts = {path: path.read_text() for path in sorted(source.rglob("*")) if path.suffix in _MANIFESTS}
    wanted = sorted(set().union(*map(placeholders, texts.values())))
    if ports is None:
        ports = dict(zip(wanted, free_ports(len(wanted)), strict=True))
    for path, text in texts.items():
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(placed(text, ports))
    return dict(ports)
