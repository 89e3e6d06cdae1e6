"""Annotations of an object that an API server sends: which of them count."""

from pathlib import Path

from apiserver.standin import ApiServer
from source.kubernetes.followed import GRPC_ROUTES, following, until

from fastroute.resources.meta import Key


async def test_an_annotation_that_is_used_changes_the_route(api: ApiServer, tmp_path: Path) -> None:
    """Although it does not change the generation."""
    name = "fastroute.dev/grpc-web-origins"
    spec = {"rules": [{}]}
    api.put(GRPC_ROUTES, "r", spec=spec, metadata={"annotations": {"other": "x"}})
    async with following(api, tmp_path) as seen:
        key = Key("default", "r")
        await until(lambda: key in seen.source.store.snapshot().grpc_routes)

        async def has(annotations: dict[str, str]) -> None:
            await until(lambda: seen.source.store.snapshot().grpc_routes[key].metadata.annotations == annotations)

        await has({})
        for value in ("https://a", "https://b"):
            api.put(GRPC_ROUTES, "r", spec=spec, metadata={"annotations": {"other": "x", name: value}})
            await has({name: value})
        assert seen.source.store.snapshot().grpc_routes[key].metadata.generation == 1
        api.put(GRPC_ROUTES, "r", spec=spec)
        await has({})
