"""More ports or clients than the limit of open files allows: the oldest are served, and everything else works."""

import json
import resource
import socket
from contextlib import ExitStack

import trio
from e2e.serving import killed, replaced, serving
from load import PATIENCE

FILES = 512  # open files, of which 2 workers can afford 64 ports
ADDRESS = "127.0.77.1"  # so that the ports are free
MANY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{namespace: tenant, name: many{number}}}
spec:
  gatewayClassName: fastroute
  listeners: [{listeners}]
"""


def few_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))


def connects(port):
    try:
        socket.create_connection((ADDRESS, port), 10).close()
    except ConnectionRefusedError:
        return False
    return True


async def test_ports_beyond_what_the_process_may_open_cost_the_others_nothing(tmp_path):
    folder, log = tmp_path / "manifests", tmp_path / "log"
    folder.mkdir()
    options = ("--bind", ADDRESS, "--log-level", "warning", "--log-format", "json")
    with log.open("wb") as file:
        async with serving(folder, *options, preexec_fn=few_files, stderr=file) as served:
            first = served.port - 80 + 1000
            async with served.applied():
                for number in range(5):  # 320 ports: 640 sockets
                    ports = range(1000 + 64 * number, 1064 + 64 * number)
                    listeners = ", ".join(f"{{name: p{port}, port: {port}, protocol: HTTP}}" for port in ports)
                    served.world.write(f"many{number}", MANY, number=number, listeners=listeners)
            assert await served.health("/healthz") == 200
            assert await served.health("/readyz") == 200
            with trio.fail_after(PATIENCE):
                while not connects(first + 62):  # noqa: ASYNC110
                    await trio.sleep(0.05)
            assert [port for port in range(320) if connects(first + port)] == list(range(63))  # and that of edge
            await killed(served.workers()[0])
            await replaced(served, 1)
            async with served.applied():
                served.world.remove("grant")
            samples = await served.metrics()
            assert samples["process_open_fds"] < FILES - 200
            assert not any(name.startswith("fastroute_descriptor_shortages_total") for name in samples)
    said = [json.loads(line)["message"] for line in log.read_text().splitlines()]
    refused = [message for message in said if "PortUnavailable" in message]
    assert any("--max-ports 1024, lowered because the process may open only 512 files" in one for one in refused)


async def accepted(served):
    """The number of client connections that the workers have accepted."""
    samples = await served.metrics()
    return sum(value for name, value in samples.items() if name.startswith("fastroute_connections{") and "down" in name)


async def test_idle_clients_leave_descriptors_for_backends(tmp_path):
    """1,200 idle connections, more than the files that both workers may open: clients that send a request are served,
    and the connections of idle ones end for them."""
    folder, log = tmp_path / "manifests", tmp_path / "log"
    folder.mkdir()
    options = ("--bind", ADDRESS, "--log-level", "info", "--log-format", "json")
    with log.open("wb") as file, ExitStack() as stack:
        async with serving(folder, *options, preexec_fn=few_files, stderr=file) as served:
            address = (ADDRESS, served.port)
            for _ in range(1200):
                idle = stack.enter_context(socket.socket())
                idle.setblocking(False)
                idle.connect_ex(address)
            with trio.fail_after(PATIENCE):
                # A connection that changes its state while the metrics are read may be counted twice.
                while [await accepted(served) for _ in range(3)] != [192] * 3:  # noqa: ASYNC110
                    await trio.sleep(0.05)
            clients = []
            for _ in range(8):
                clients.append(stack.enter_context(socket.create_connection(address, PATIENCE)))
                # At once: a client that sends nothing for a second may itself have to give way to the next one.
                clients[-1].send(b"GET /fruits HTTP/1.1\r\nHost: a\r\n\r\n")
            answers = [await trio.to_thread.run_sync(client.recv, 65536) for client in clients]
            assert {answer.split(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 200 OK"}
    assert "at most 96 client connections, not 65536 (--max-connections)" in log.read_text()
