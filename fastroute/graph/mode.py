"""The mode of a listener by its protocol, and its port by this mode."""

from collections.abc import Mapping

from fastroute.graph.node import TransportPort
from fastroute.resources.gateway import Listener
from fastroute.snapshot import Mode

MODES: Mapping[str, Mode] = {
    "HTTP": Mode.HTTP,
    "HTTPS": Mode.TERMINATE,
    "TLS": Mode.TERMINATE,  # or PASSTHROUGH
    "TCP": Mode.RAW,
    "UDP": Mode.DATAGRAMS,
}


def mode_of(listener: Listener) -> Mode:
    """HTTP if the protocol is unknown."""
    if listener.protocol == "TLS" and listener.tls is not None and listener.tls.mode == "Passthrough":
        return Mode.PASSTHROUGH
    return MODES.get(listener.protocol, Mode.HTTP)


def ends_tls(listener: Listener) -> bool:
    """Whether it needs certificates."""
    return mode_of(listener) is Mode.TERMINATE


def port_of(listener: Listener) -> TransportPort:
    """Only listeners with the same one can conflict."""
    return mode_of(listener).transport, listener.port
