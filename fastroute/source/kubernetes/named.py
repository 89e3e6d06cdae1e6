"""Named: the Secrets to follow by name, because a certificateRef names them and the watch by type has them not.

A Secret of another type than kubernetes.io/tls may hold a certificate all the same; and one that is missing may come
as any type. Each such watch is a connection and a thread, so their number is bounded, in order of names: what is left
out is as good as missing, and a problem says so.
"""

from collections.abc import Container, Iterable, Iterator

from fastroute.resources.gateway import Listener
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources

MOST = 64  # watches by name


def named_secrets(resources: Resources, controller_name: str) -> frozenset[Key]:
    """Secrets that the listeners of our Gateways, and of ListenerSets for these, name."""
    ours = {key.name for key, item in resources.gateway_classes.items() if item.spec.controller_name == controller_name}
    gateways = {key: item for key, item in resources.gateways.items() if item.spec.gateway_class_name in ours}
    names: set[Key] = set()
    for key, gateway in gateways.items():
        names |= set(_references(key.namespace, gateway.spec.listeners))
    for key, listener_set in resources.listener_sets.items():
        parent = listener_set.spec.parent_ref
        if Key(parent.namespace or key.namespace, parent.name) in gateways:
            names |= set(_references(key.namespace, listener_set.spec.listeners))
    return frozenset(names)


def to_follow(names: Iterable[Key], known: Container[Key]) -> tuple[list[Key], list[Key]]:
    """Those to follow by name, and those that are too many. `known`: what the watch by type has."""
    wanted = sorted(name for name in names if name not in known)
    return wanted[:MOST], wanted[MOST:]


def _references(home: str, listeners: Iterable[Listener]) -> Iterator[Key]:
    for listener in listeners:
        for ref in listener.tls.certificate_refs if listener.tls else ():
            if (ref.group, ref.kind) == ("", "Secret"):
                yield Key(ref.namespace or home, ref.name)
