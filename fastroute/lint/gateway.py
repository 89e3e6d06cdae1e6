"""Lints of Gateways and ListenerSets: their classes, parents, certificates and infrastructure."""

from collections.abc import Iterator

from fastroute.graph.certificate import certifies, out_of_time
from fastroute.graph.credential import FIELD as CLIENT_CERTIFICATE
from fastroute.graph.finding import Finding, warning
from fastroute.graph.hostname import ANY
from fastroute.graph.listenerset import parent_of
from fastroute.graph.node import Graph
from fastroute.listed import listed
from fastroute.nearest import nearest
from fastroute.resources.gateway import (
    GatewayInfrastructure,
)
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources


def classes_not_ours(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """Gateways whose class does not exist or belongs to another controller."""
    for gateway in resources.gateways.values():
        name = gateway.spec.gateway_class_name
        if Key("", name) in graph.classes:
            continue
        found = resources.gateway_classes.get(Key("", name))
        if found is None:
            ours = nearest(name, (key.name for key in graph.classes))
            fix = f"gatewayClassName: {ours}" if ours else None
            reason, message = (
                "UnknownGatewayClass",
                f"GatewayClass {name} does not exist: no controller serves this Gateway.",
            )
        else:
            fix = None
            reason, theirs = "ForeignGatewayClass", found.spec.controller_name
            near = " (did you mean that one?)" if nearest(theirs, (graph.controller_name,)) else ""
            message = (
                f"Not served: GatewayClass {name} belongs to controller {theirs}, not {graph.controller_name}{near}."
            )
        yield warning("Gateway", gateway, reason, message, "spec.gatewayClassName", fix=fix)


def sets_without_gateways(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for source in resources.listener_sets.values():
        parent = parent_of(source)
        if parent is None:
            message = f"Parents of kind {source.spec.parent_ref.kind} are not served: the ListenerSet has no effect."
            yield warning("ListenerSet", source, "ParentKindNotServed", message, "spec.parentRef.kind")
        elif parent not in resources.gateways:
            message = f"Gateway {parent} does not exist: the ListenerSet has no effect."
            yield warning("ListenerSet", source, "ParentNotFound", message, "spec.parentRef")


def certificates_for_other_names(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """HTTPS listeners with a hostname that none of their certificates covers: clients reject them."""
    for holder in graph.holders:
        for index, listener in enumerate(holder.listeners):
            if listener.tls is None or listener.hostname == ANY:
                continue
            names = {name for id_ in listener.tls.certificates for name in graph.certificates[id_].names}
            if not any(certifies(name, listener.hostname) for name in names):
                has = listed(sorted(names)) or "no name"
                message = f"No certificate is valid for {listener.hostname}, only for {has}: clients will reject it."
                field = f"spec.listeners[{index}].tls.certificateRefs"
                yield warning(holder.id[0], holder.source, "CertificateForOtherNames", message, field)


def certificates_out_of_time(graph: Graph, now: float) -> Iterator[Finding]:
    """`now` is in seconds since the epoch."""
    for holder in graph.holders:
        for index, listener in enumerate(holder.listeners):
            for id_ in listener.tls.certificates if listener.tls else ():
                if why := out_of_time(graph.certificates[id_], now):
                    message = f"The certificate of Secret {id_} {why}. It is used, but clients will reject it."
                    field = f"spec.listeners[{index}].tls.certificateRefs"
                    yield warning(holder.id[0], holder.source, "CertificateOutOfTime", message, field)
    for gateway in graph.gateways.values():
        shown = gateway.client_certificate
        if shown and (why := out_of_time(graph.certificates[shown], now)):
            message = f"The certificate of Secret {shown} {why}. It is used, but backends will reject it."
            yield warning("Gateway", gateway.source, "CertificateOutOfTime", message, CLIENT_CERTIFICATE)


def infrastructure_without_objects(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for gateway in graph.gateways.values():
        infrastructure = gateway.source.spec.infrastructure or GatewayInfrastructure()
        asked = [name for name in ("labels", "annotations") if getattr(infrastructure, name)]
        if asked:
            message = f"{' and '.join(asked)} are applied only in a cluster, with --infrastructure."
            yield warning("Gateway", gateway.source, "InfrastructureUnused", message, "spec.infrastructure")
