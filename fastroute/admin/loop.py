"""Requests that this gateway itself forwarded: an EndpointSlice may name the address of another replica, or another
address of this one, and clients must not reach an endpoint for operators through it."""

from starlette.requests import Request


def came_through(request: Request, installation: str) -> bool:
    """`installation`: what this gateway and its replicas add to Fastroute-Loop; "": nothing."""
    lines = request.headers.getlist("fastroute-loop")
    return installation != "" and any(mark.strip() == installation for line in lines for mark in line.split(","))
