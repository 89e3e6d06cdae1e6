"""Which pods serve the EndpointSlices of manifests, and on which ports."""

from pathlib import Path

from fastroute.demo.pods import Pod, copy_manifests, free_ports, pods, with_free_ports
from fastroute.resources.core import EndpointPort, EndpointSlice, SliceEndpoint
from fastroute.resources.meta import Metadata
from fastroute.source.directory import Directory

EXAMPLES = Path(__file__).parent.parent.parent / "examples"

SLICE = """\
kind: EndpointSlice
metadata: {name: a}
ports:
- {name: http, port: 18001}
- {name: admin, port: 18002}
---
kind: EndpointSlice
metadata: {name: b}
ports: [{name: http, port: 18001}]
---
kind: Gateway
spec: {listeners: [{name: x, port: 18001}]}
"""


def slice_of(*addresses: str, ports: tuple[int | None, ...] = (18001,)) -> EndpointSlice:
    return EndpointSlice(
        metadata=Metadata(name="echo-1", namespace="apples", labels={"kubernetes.io/service-name": "echo"}),
        endpoints=tuple(SliceEndpoint(addresses=(address,)) for address in addresses),
        ports=tuple(EndpointPort(port=port) for port in ports),
    )


def test_every_endpoint_is_a_pod() -> None:
    assert pods([slice_of("127.0.0.1", "127.0.0.2")]) == (
        Pod("apples", "echo", "echo-1-0", "127.0.0.1", 18001),
        Pod("apples", "echo", "echo-1-1", "127.0.0.2", 18001),
    )


def test_what_is_elsewhere_or_twice_or_has_no_port_is_left_out() -> None:
    assert pods([slice_of("10.0.0.1", "echo.example.com")]) == ()
    assert len(pods([slice_of("127.0.0.1", "127.0.0.1")])) == 1
    assert pods([slice_of("127.0.0.1", ports=(None,))]) == ()


def test_ports_of_each_slice_are_replaced_and_no_others() -> None:
    text = with_free_ports(SLICE)
    first, second, third = text.split("---\n")
    assert "18001" not in first
    assert "18002" not in first
    assert "18001" not in second
    assert third == SLICE.split("---\n")[2]
    assert first.split("port: ")[1] != second.split("port: ")[1]


def test_free_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20


def test_a_copy_says_the_same_with_other_ports(tmp_path: Path) -> None:
    copy_manifests(EXAMPLES / "cross-namespace", tmp_path)
    source = Directory([tmp_path])
    source.load()
    found = source.store.snapshot()
    assert source.store.problems == ()
    assert len(found.reference_grants) == 2
    assert [pod.service for pod in pods(found.endpoint_slices.values())] == ["apple-echo", "banana-echo", "banana-echo"]
    assert all(pod.port >= 1024 and not 18001 <= pod.port <= 18009 for pod in pods(found.endpoint_slices.values()))
