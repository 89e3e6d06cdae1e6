"""Clients that speak something else than HTTP/1.1 to the echo pods of the suite: lines over TCP and TLS, datagrams, and
calls of gRPC. Each question is answered with the namespace of a pod, or with what happened instead:

reset       the connection was reset
closed      the connection was closed without an answer
no answer   no datagram came in time
grpc N      the status of a call
"""

import json
import secrets
import socket
import ssl
import time
from collections.abc import Iterator

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived

PATIENCE = 60.0  # seconds for an answer that must come
METHOD = "/gateway_api_conformance.echo_basic.grpcecho.GrpcEcho/Echo"
LARGEST = 65_535


class Lines:
    """A connection over TCP, or over TLS if there is a `trust`, to a pod that answers lines. The pod speaks first."""

    def __init__(self, address: str, port: int, trust: ssl.SSLContext | None = None, host: str = "") -> None:
        self.peer = socket.create_connection((address, port), PATIENCE)
        try:
            if trust is not None:
                self.peer = trust.wrap_socket(self.peer, server_hostname=host)
        except OSError:
            self.peer.close()
            raise
        self.lines = self._read()

    def _read(self) -> Iterator[bytes]:
        data = b""
        while True:
            while b"\n" not in data:
                more = self.peer.recv(LARGEST)
                if not more:
                    return
                data += more
            line, _, data = data.partition(b"\n")
            yield line

    def ask(self) -> str:
        """Raises OSError."""
        self.peer.sendall(b"TEST\n")
        for line in self.lines:
            if line.startswith(b"{"):
                return str(json.loads(line)["namespace"])
        return "closed"

    def close(self) -> None:
        self.peer.close()


def what_happened(error: OSError) -> str:
    """A connection that ends during a TLS handshake is closed, too."""
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "reset"
    return "closed" if isinstance(error, ssl.SSLEOFError) else f"{type(error).__name__}: {error}"


class Flow:
    """The datagrams of one client port."""

    def __init__(self, address: str, port: int) -> None:
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.connect((address, port))

    def ask(self, patience: float) -> str:
        """The answer to a datagram of its own: an answer to an earlier one does not count."""
        mark = secrets.token_hex(8)
        self.peer.send(mark.encode())
        end = time.monotonic() + patience
        while (left := end - time.monotonic()) > 0:
            self.peer.settimeout(left)
            try:
                answer = json.loads(self.peer.recv(LARGEST))
            except TimeoutError:
                break
            if answer["request"] == mark:
                return str(answer["namespace"])
        return "no answer"

    def close(self) -> None:
        self.peer.close()


class Calls:
    """A connection with HTTP/2 that carries one call of gRPC at a time."""

    def __init__(self, address: str, port: int, names: tuple[str, ...]) -> None:
        self.names = names
        self.peer = socket.create_connection((address, port), PATIENCE)
        self.http2 = H2Connection(H2Configuration(client_side=True))
        self.http2.initiate_connection()

    def ask(self, host: str) -> str:
        """Raises OSError."""
        stream = self.http2.get_next_available_stream_id()
        fields = {":method": "POST", ":scheme": "http", ":authority": host, ":path": METHOD}
        fields |= {"content-type": "application/grpc", "te": "trailers"}
        self.http2.send_headers(stream, list(fields.items()))
        self.http2.send_data(stream, bytes(5), end_stream=True)
        answer: dict[str, str] = {}
        body = b""
        for event in self._events():
            match event:
                case ResponseReceived() | TrailersReceived() if event.stream_id == stream:
                    answer |= {_text(name): _text(value) for name, value in event.headers or ()}
                case DataReceived() if event.stream_id == stream:
                    body += event.data or b""
                    self.http2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
                case StreamReset() if event.stream_id == stream:
                    return f"reset {event.error_code}"
                case ConnectionTerminated():
                    raise ConnectionResetError("GOAWAY")
                case StreamEnded() if event.stream_id == stream:
                    break
        status = answer.get("grpc-status", answer.get(":status", "none"))
        return self._sender(body) if status == "0" else f"grpc {status}"

    def _events(self) -> Iterator[object]:
        while True:
            self.peer.sendall(self.http2.data_to_send())
            data = self.peer.recv(LARGEST)
            if not data:
                raise ConnectionResetError("the connection was closed")
            yield from self.http2.receive_data(data)

    def _sender(self, body: bytes) -> str:
        """The field `namespace` of the message: its number and type, its length, and its text."""
        found = [name for name in self.names if b"\n" + bytes([len(name)]) + name.encode() in body]
        return ", ".join(found) or f"an answer of {len(body)} bytes"

    def close(self) -> None:
        self.peer.close()


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
