"""An EndpointSlice that names the gateway itself, directly or through another address."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio
from e2e.serving import SERVICE, Serving, serving
from load import PATIENCE

from fastroute.demo.client import Client

ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{namespace: apples, name: loop}}
spec:
  parentRefs: [{{namespace: infra, name: edge}}]
  rules:
    - backendRefs: [{{name: apples, port: 80}}]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier: {{remove: [Fastroute-Loop]}}
"""


async def relay(port: int, stream: trio.SocketStream) -> None:
    """Connects a client with a port of this machine, as a load balancer does."""

    async def copy(source: trio.SocketStream, target: trio.SocketStream) -> None:
        try:
            async for data in source:
                await target.send_all(data)
            await target.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async with await trio.open_tcp_stream("127.0.0.1", port) as other, trio.open_nursery() as nursery:
        nursery.start_soon(copy, stream, other)
        nursery.start_soon(copy, other, stream)


@asynccontextmanager
async def relaying(port: int) -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, partial(relay, port), listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def answered(served: Serving, port: int, path: str = "/") -> tuple[int, str]:
    """Status and body of a request to a route whose only endpoint is this port."""
    async with served.applied():
        served.world.write("apples", SERVICE, name="apples", port=port)
    with trio.fail_after(PATIENCE):
        async with Client("127.0.0.1", served.port) as client:
            answer = await client.ask(path, host="example.com")
            return answer.status, answer.body.decode()


async def test_a_gateway_is_no_endpoint_of_its_own(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        async with served.applied():
            served.world.write("loop", ROUTE)
        status, body = await answered(served, served.port)
        assert (status, "no_endpoint" in body) == (503, True)
        async with relaying(served.port) as port:
            status, body = await answered(served, port)
            assert (status, "loop_detected" in body) == (508, True)
        assert (await answered(served, served.metrics_port, "/metrics"))[0] == 503
        async with relaying(served.metrics_port) as port:
            assert (await answered(served, port, "/metrics"))[0] == 403
        counted = await served.metrics()
        assert counted['fastroute_local_responses_total{reason="loop_detected"}'] == 1
