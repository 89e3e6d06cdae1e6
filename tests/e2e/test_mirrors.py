"""Mirrors from manifest to metric: allowed by a ReferenceGrant, and stopped when it is deleted while serving."""

from collections import Counter
from pathlib import Path

import trio
from e2e.serving import serving
from load import PATIENCE

from fastroute.demo.client import Client

MIRRORED = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{namespace: apples, name: mirrored}}
spec:
  parentRefs: [{{namespace: infra, name: edge}}]
  rules:
    - matches: [{{path: {{type: PathPrefix, value: /mirrored}}}}]
      backendRefs: [{{name: apples, port: 80}}]
      filters:
        - type: RequestMirror
          requestMirror: {{backendRef: {{namespace: bananas, name: bananas, port: 80}}}}
"""
TOTAL = "fastroute_mirrored_requests_total"


async def test_a_mirror_needs_a_grant_and_the_request_does_not(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        async with served.applied():
            served.world.write("mirrored", MIRRORED)
        assert await ask(served.port, 10) == {b"apples": 10}
        with trio.fail_after(PATIENCE):
            while (await served.metrics()).get(TOTAL, 0) < 10:  # noqa: ASYNC110
                await trio.sleep(0.01)
        async with served.applied():
            served.world.remove("grant")
        assert await ask(served.port, 10) == {b"apples": 10}
        await trio.sleep(0.1)
        samples = await served.metrics()
        assert samples[TOTAL] == 10
        assert [name for name in samples if name.startswith("fastroute_mirror_failures_total")] == []


async def ask(port: int, times: int) -> Counter[bytes]:
    """The number of responses of each backend."""
    async with Client("127.0.0.1", port) as client:
        return Counter([(await client.ask("/mirrored", host="example.com")).body for _ in range(times)])
