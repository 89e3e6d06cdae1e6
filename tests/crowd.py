"""Thousands of routes to a thousand Services, as typed objects, for tests of the cost of changes."""

from fastroute.resources.core import EndpointPort, EndpointSlice, Service, ServicePort, ServiceSpec, SliceEndpoint
from fastroute.resources.gateway import AllowedRoutes, Gateway, GatewaySpec, Listener, ParentReference, RouteNamespaces
from fastroute.resources.http_rule import HTTPBackendRef, HTTPMatch, HTTPPathMatch, HTTPRule
from fastroute.resources.httproute import HTTPRoute, HTTPRouteSpec
from fastroute.resources.meta import Metadata, Resource
from fastroute.source.store import Apply, Store

NAMESPACES, SERVICES, HOSTNAMES = 50, 20, 100  # SERVICES is the number per namespace


def crowd(routes: int) -> Store:
    """One Gateway, a thousand Services of three endpoints each, and the routes."""
    allowed = AllowedRoutes(namespaces=RouteNamespaces(from_="All"))
    listener = Listener(name="http", port=80, protocol="HTTP", allowed_routes=allowed)
    gateway = Gateway(
        metadata=Metadata(namespace="infra", name="web"),
        spec=GatewaySpec(gateway_class_name="fastroute", listeners=(listener,)),
    )
    objects: list[Resource] = [gateway]
    for namespace in range(NAMESPACES):
        for number in range(SERVICES):
            objects += [service(namespace, number), endpoints(namespace, number, 3)]
    objects += [route(number) for number in range(routes)]
    store = Store()
    store.apply(map(Apply, objects))
    return store


def route(number: int, path: str = "/") -> HTTPRoute:
    """Route `number`, for `path` followed by its number."""
    return HTTPRoute(
        metadata=Metadata(namespace=f"n{number % NAMESPACES}", name=f"r{number}"),
        spec=HTTPRouteSpec(
            parent_refs=(ParentReference(namespace="infra", name="web"),),
            hostnames=(f"h{number % HOSTNAMES}.example.com",),
            rules=(
                HTTPRule(
                    matches=(HTTPMatch(path=HTTPPathMatch(value=f"{path}{number}")),),
                    backend_refs=(HTTPBackendRef(name=f"s{number % SERVICES}", port=80),),
                ),
            ),
        ),
    )


def service(namespace: int, number: int) -> Service:
    return Service(
        metadata=Metadata(namespace=f"n{namespace}", name=f"s{number}"),
        spec=ServiceSpec(ports=(ServicePort(port=80, name="http"),)),
    )


def endpoints(namespace: int, number: int, count: int) -> EndpointSlice:
    """The EndpointSlice of a Service, with `count` endpoints."""
    labels = {"kubernetes.io/service-name": f"s{number}"}
    addresses = [f"10.{namespace}.{last // 256}.{last % 256}" for last in range(count)]
    return EndpointSlice(
        metadata=Metadata(namespace=f"n{namespace}", name=f"s{number}-x", labels=labels),
        ports=(EndpointPort(port=9000, name="http"),),
        endpoints=tuple(SliceEndpoint(addresses=(address,)) for address in addresses),
    )
