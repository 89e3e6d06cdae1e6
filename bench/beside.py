"""`python -m bench.beside`: what large answers cost others over HTTP/2.

A client asks for two large answers on one connection and takes them as fast as it can. On the same connection it asks
for a small one every 50 ms. Another process asks for small ones on a connection of its own, before and during that.
Reported are the bytes of both large answers, and the median, the 99th percentile and the maximum of the small ones in
milliseconds. Limits: the large answers differ by a factor of 3 at most, the median of a small one beside them is 100
ms at most, and the median on the other connection grows by 50 ms at most.
"""

import contextlib
import json
import multiprocessing
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.settings

from bench.flood import line
from bench.served import serving
from bench.soak.frames import fields
from bench.verified import GATEWAY, KEPT, team

SECONDS = 8.0
PAUSE = 0.05  # seconds between two small requests
WINDOW = 1 << 20
BLOCK = bytes(1 << 16)
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 40)


def answer(listening: socket.socket) -> None:
    """The backend: /large without end, and small ones. Runs without end."""

    def serve(one: socket.socket) -> None:
        with contextlib.suppress(OSError), one:
            while head := one.recv(4096):
                one.sendall(LARGE if b"/large" in head else KEPT)
                while b"/large" in head:
                    one.sendall(BLOCK)

    while True:
        threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()


class Client:
    """One connection with large streams and small requests."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.link = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        windows = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: WINDOW, h2.settings.SettingCodes.ENABLE_PUSH: 0}
        self.link.local_settings = h2.settings.Settings(client=True, initial_values=windows)
        self.link.initiate_connection()
        self.link.increment_flow_control_window(16 * WINDOW)
        self.taken: dict[int, int] = {}  # bytes of each large answer
        self.begun: dict[int, float] = {}  # small requests in progress
        self.took: list[float] = []

    def ask(self, path: str) -> int:
        stream = self.link.get_next_available_stream_id()
        self.link.send_headers(stream, fields("GET", path), end_stream=True)
        self.socket.sendall(self.link.data_to_send())
        return stream

    def take(self) -> None:
        """Reads once."""
        for event in self.link.receive_data(self.socket.recv(262_144)):
            if isinstance(event, h2.events.DataReceived):
                if event.stream_id in self.taken:
                    self.taken[event.stream_id] += len(event.data)
                self.link.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.took.append(time.perf_counter() - self.begun.pop(event.stream_id))
        self.socket.sendall(self.link.data_to_send())

    def run(self, seconds: float) -> dict[str, list[float]]:
        for _ in range(2):
            self.taken[self.ask("/large")] = 0
        end, due = time.monotonic() + seconds, 0.0
        while time.monotonic() < end:
            if time.monotonic() > due and not self.begun:
                stream = self.ask("/small")
                self.begun[stream], due = time.perf_counter(), time.monotonic() + PAUSE
            self.take()
        return {"taken": list(self.taken.values()), "took": self.took}


def small(port: int, seconds: float) -> list[float]:
    """Seconds of each request on a connection of HTTP/2 without others."""
    client = Client(port)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        client.begun[client.ask("/small")] = time.perf_counter()
        while client.begun:
            client.take()
        time.sleep(PAUSE)
    return client.took


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        manifests = Path(folder) / "world.yaml"
        manifests.write_text(GATEWAY + team("soak", listening.getsockname()[1]))
        context = multiprocessing.get_context("fork")
        context.Process(target=answer, args=(listening,), daemon=True).start()
        with serving(manifests) as served:
            quiet = small(served.port, SECONDS)
            ours, theirs = context.Pipe()
            load = context.Process(target=lambda: theirs.send(json.dumps(Client(served.port).run(SECONDS + 1))))
            load.start()
            time.sleep(1)
            beside = small(served.port, SECONDS - 1)
            found = json.loads(ours.recv())
            load.join()
    ratio = max(found["taken"]) / max(1, min(found["taken"]))
    print(f"two large answers: {' and '.join(f'{size >> 20} MiB' for size in found['taken'])}, ratio {ratio:.2f}")
    print(f"{'small ones, ms (median, p99, max)':<36}")
    for name, took in (("beside them", found["took"]), ("other connection, quiet", quiet), ("beside", beside)):
        print(f"{name:<36} {line(took)}")
    medians = [sorted(one)[len(one) // 2] for one in (found["took"], quiet, beside)]
    return 0 if ratio <= 3 and medians[0] <= 0.1 and medians[2] - medians[1] <= 0.05 else 1


if __name__ == "__main__":
    sys.exit(main())
