"""The edits of test_faults.py: what requests, connections, flows and calls depend on changes at random."""

import random
from collections.abc import Iterator

from cluster import streams
from cluster.api import Api, ApiError, Object
from cluster.echo import PORT
from cluster.fruits import CHURNED, HOSTS, PASSING, grant, namespace, route, tls_secret
from cluster.streams import GRANTED, PODS, WAYS


def spare_route() -> Object:
    """A route of the listener whose Secret is created and deleted."""
    made = route("spare", "apples", ("apples", 1))
    made["spec"]["parentRefs"][0]["sectionName"] = "spare"
    return made


def by_hand() -> list[Object]:
    """A Service without selector and its EndpointSlice, without endpoints: only this test edits them."""
    meta = {"name": "hand", "namespace": "cherries"}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": PORT}]}}
    return [service, slice_of()]


def slice_of(*addresses: str, ready: bool = True) -> Object:
    labels = {"kubernetes.io/service-name": "hand", "endpointslice.kubernetes.io/managed-by": "us"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "hand", "namespace": "cherries", "labels": labels},
        "addressType": "IPv4",
        "ports": [{"port": 3000, "protocol": "TCP", "name": ""}],
        "endpoints": [{"addresses": [one], "conditions": {"ready": ready}} for one in addresses],
    }


def edits_of_requests(api: Api, chance: random.Random, pods: dict[str, str]) -> Iterator[None]:
    """Edits of what requests depend on: one on each call of next()."""
    unfit = {**tls_secret("spare", "spare.test")["data"], "tls.key": ""}
    there: set[str] = set()
    while True:
        name, weight = chance.choice(CHURNED), chance.randrange(1, 5)
        match chance.randrange(13):
            case 0 | 1:
                api.apply(route(name, "infra", ("apples", weight), ("cherries", 5 - weight)))
            case 2:
                api.delete("HTTPRoute", "infra", name)
            case 3:
                api.apply(grant("cherries"))
            case 4:
                api.delete("ReferenceGrant", "cherries", "routes")
            case 5:
                labels = {"tenant": chance.choice(["yes", "no"])}
                api.patch("Namespace", "", "cherries", {"metadata": {"labels": labels}})
            case 6:
                api.apply(tls_secret("edge", *HOSTS))
            case 9:
                api.apply(tls_secret("spare", "spare.test"))
            case 10:
                api.apply({**tls_secret("spare", "spare.test"), "data": unfit})
            case 11:
                api.delete("Secret", "certs", "spare")
            case 12:
                pass_by(api, chance.choice(PASSING), there)
            case 7:
                api.apply(slice_of(*chance.sample(list(pods.values()), weight % 3)))
            case 8:
                api.apply(slice_of(pods["apples"], ready=weight > 1))
        yield


def pass_by(api: Api, name: str, there: set[str]) -> None:
    """Creates or deletes a namespace with a route that has no backend. Does nothing if its last deletion is still in
    progress."""
    if name in there:
        api.delete("Namespace", "", name)
        there.remove(name)
        return
    try:
        api.apply(namespace(name, tenant="yes"), route(name, name, (name, 1)))
    except ApiError as error:
        if error.status not in (403, 404, 409):  # its deletion is still in progress
            raise
    else:
        there.add(name)


def edits_of_streams(api: Api, chance: random.Random, places: dict[tuple[str, str], str]) -> Iterator[None]:
    """Edits of what connections, flows and calls of the edited routes depend on: one on each call of next(). `places`:
    the address of the pod of each (team, Deployment)."""
    while True:
        way, name, weight = chance.choice(WAYS), chance.choice(list(PODS)), chance.randrange(1, 5)
        route_ = streams.route(way, ("pears", weight), ("plums", 5 - weight), edited=True)
        match chance.randrange(8):
            case 0 | 1:
                api.apply(route_)
            case 2:
                api.delete(way.kind, "infra", route_["metadata"]["name"])
            case 3:
                api.apply(streams.grant("plums", chance.sample(GRANTED, weight)))
            case 4:
                api.delete("ReferenceGrant", "plums", "streams")
            case 5:
                found = [places["pears", name], places["plums", name]]
                api.apply(streams.slice_of("plums", name, *chance.sample(found, weight % 3)))
            case 6:
                api.apply(streams.slice_of("pears", name, places["pears", name], ready=weight > 1))
            case 7:
                api.apply(streams.renewed())
        yield
