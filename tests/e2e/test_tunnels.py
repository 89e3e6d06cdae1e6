"""Much through an upgraded connection of a whole gateway: a confined worker may splice."""

import json
from pathlib import Path
from typing import Any

import trio

from fastroute.demo.gateway import running_gateway
from fastroute.resources.gateway import GROUP

SIZE = 4_000_000
ASK = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"


def made(kind: str, name: str, version: str = f"{GROUP}/v1", labels: Any = None, **more: Any) -> dict[str, Any]:
    metadata = {"namespace": "apps", "name": name, **({} if labels is None else {"labels": labels})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def world(port: int) -> list[dict[str, Any]]:
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    reference = {"name": "a", "port": 80}
    return [
        made("Gateway", "edge", spec={"gatewayClassName": "fastroute", "listeners": [listener]}),
        made("HTTPRoute", "r", spec={"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [reference]}]}),
        made("Service", "a", "v1", spec={"ports": [{"port": 80}]}),
        made(
            "EndpointSlice",
            "a",
            "discovery.k8s.io/v1",
            {"kubernetes.io/service-name": "a"},
            addressType="IPv4",
            ports=[{"port": port}],
            endpoints=[{"addresses": ["127.0.0.1"]}],
        ),
    ]


async def head(stream: trio.abc.ReceiveStream) -> bytes:
    got = b""
    while not got.endswith(b"\r\n\r\n"):
        got += await stream.receive_some(1)
    return got


async def echoing(stream: trio.SocketStream) -> None:
    await head(stream)
    await stream.send_all(SWITCH)
    while piece := await stream.receive_some(1 << 20):
        await stream.send_all(piece)
    await stream.send_eof()


async def test_much_goes_through_a_confined_worker(tmp_path: Path) -> None:
    data = bytes(range(256)) * (SIZE // 256)
    [listening] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listening.socket.getsockname()[1]
    (tmp_path / "world.yaml").write_text("\n---\n".join(json.dumps(one) for one in world(port)))
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, echoing, [listening])
            with running_gateway(tmp_path, "--workers", "1", "--log-level", "error") as gateway:
                for _ in range(2):  # the second one would meet a new worker, if the first one had died
                    stream = await trio.open_tcp_stream(gateway.address, gateway.port())
                    await stream.send_all(ASK)
                    assert (await head(stream)).startswith(b"HTTP/1.1 101 ")
                    nursery.start_soon(sent, stream, data)
                    got = b"".join([piece async for piece in stream])
                    assert got == data
                    await stream.aclose()
            nursery.cancel_scope.cancel()


async def sent(stream: trio.SocketStream, data: bytes) -> None:
    await stream.send_all(data)
    await stream.send_eof()
