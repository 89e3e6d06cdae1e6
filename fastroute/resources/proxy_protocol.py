"""The annotation of a Service that asks for the PROXY protocol: connections of L4 routes to it then begin with the
address of the client. It has no effect on requests, whose fields have this address."""

from fastroute.resources.core import Service

ANNOTATION = "fastroute.dev/proxy-protocol"
VERSION = "v2"  # the only value: version 2 of the protocol


def proxy_protocol(service: Service) -> str | None:
    """The value of the annotation."""
    return service.metadata.annotations.get(ANNOTATION)
