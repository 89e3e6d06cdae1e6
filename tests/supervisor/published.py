"""Rules and listeners for the tests here, and a clock that only tests advance."""

from fastroute.place import Place, Transport
from fastroute.snapshot import Listener, Match, PathMatch, Rule, WeightedBackend


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def rule(route, *backends, listener="a/gw/http@127.0.0.1", index=0):
    return Rule(
        id=f"{listener}|HTTPRoute|{route}|{index}",
        listener=listener,
        hostnames=("",),
        gateway="a/gw",
        listener_name="http",
        route=route,
        route_kind="HTTPRoute",
        name=str(index),
        matches=(Match(path=PathMatch("PathPrefix", ""), rank=()),),
        backends=tuple(WeightedBackend(weight=1, backend=backend) for backend in backends),
    )


def listener(gateway, name, address="127.0.0.1"):
    return Listener(
        id=f"{gateway}/{name}@{address}",
        gateway=gateway,
        name=name,
        place=Place(Transport.TCP, address, 80),
        spec_port=80,
        hostname="",
    )
