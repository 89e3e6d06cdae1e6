"""Namespaces with real pods: a number of replicas of the suite's echo server behind a Service."""

import time
from collections.abc import Callable

from cluster.api import Api, Object

PORT = 8080


def echo(namespace: str, name: str = "echo", replicas: int = 1) -> list[Object]:
    """A namespace, a Deployment of echo servers, and a Service for it on port 8080."""
    labels = {"app": name}
    fields = {"POD_NAME": "metadata.name", "NAMESPACE": "metadata.namespace"}
    variables = [{"name": one, "valueFrom": {"fieldRef": {"fieldPath": field}}} for one, field in fields.items()]
    container = {"name": "echo", "image": "test/echo-basic:v1", "env": variables}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }
    meta = {"name": name, "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": labels, "ports": [{"port": PORT, "targetPort": 3000}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
        },
    ]


def ready_addresses(api: Api, namespace: str, service: str = "") -> list[str]:
    """The addresses of the ready pods of a namespace or one Service, from its EndpointSlices."""
    return sorted(
        address
        for one in api.list("EndpointSlice", namespace)
        if service in ("", one["metadata"]["labels"].get("kubernetes.io/service-name"))
        for endpoint in one["endpoints"] or ()
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
    )


def eventually(true: Callable[[], bool], seconds: float = 200.0, pause: float = 0.05) -> None:
    """Returns when `true()` is true. Raises AssertionError on timeout."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"the condition was not true within {seconds:.0f} s"
        time.sleep(pause)
