"""A collector of OTLP/HTTP that keeps the spans which it gets."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.tokens: list[str | None] = []  # of the field Authorization
        self.answer = 200
        self.body = b""
        self.fields: dict[str, str] = {}  # of the answer
        self.hold = threading.Event()  # answers wait for it
        self.hold.set()
        self.url = ""

    def named(self, kind: int, trace: str | None = None) -> list[Any]:
        """Spans of a kind: 2 server, 3 client."""
        return [one for one in self.spans if one.kind == kind and trace in (None, one.trace_id.hex())]


def attributes(one: Any) -> dict[str, Any]:
    """Of a span or a resource."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in one.attributes}


@contextmanager
def collecting(tls: ssl.SSLContext | None = None) -> Iterator[Collector]:
    collector = Collector()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = ExportTraceServiceRequest()
            message.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
            collector.hold.wait(60)
            collector.paths.append(self.path)
            collector.tokens.append(self.headers["Authorization"])
            if collector.answer == 200:
                for each in message.resource_spans:
                    collector.resources.append(attributes(each.resource))
                    for scope in each.scope_spans:
                        collector.spans.extend(scope.spans)
            self.send_response(collector.answer)
            self.send_header("Content-Length", str(len(collector.body)))
            for name, value in collector.fields.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(collector.body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        collector.hold.set()
        server.shutdown()
        server.server_close()
