"""A server of gRPC for the demo: it answers every call with OK and one message, its name. Run: server.py MANIFEST.

It serves at the port in the EndpointSlice of the manifest. It reads frames of HTTP/2 (RFC 9113) by itself, so that it
needs no library: it does not need the fields of a request, and sends its own without compression. It is no example of a
server for production.
"""

import re
import socketserver
import sys
from pathlib import Path

DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE = 24  # bytes before the first frame of a client


def frame(type_: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([type_, flags]) + stream.to_bytes(4, "big") + payload


def fields(*pairs: tuple[bytes, bytes]) -> bytes:
    """Literal fields without indexing (RFC 7541 section 6.2.2), each text shorter than 127 bytes."""
    return b"".join(b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in pairs)


class Connection(socketserver.StreamRequestHandler):
    name = b""

    def handle(self) -> None:
        self.rfile.read(PREFACE)
        self.wfile.write(frame(SETTINGS, 0, 0))
        while len(head := self.rfile.read(9)) == 9:
            type_, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            payload = self.rfile.read(int.from_bytes(head[:3], "big"))
            if type_ in (SETTINGS, PING) and not flags & ACK:
                self.wfile.write(frame(type_, ACK, 0, payload if type_ == PING else b""))
            elif type_ in (DATA, HEADERS) and flags & END_STREAM:
                self.wfile.write(self.answer(stream))

    def answer(self, stream: int) -> bytes:
        message = bytes(1) + len(self.name).to_bytes(4, "big") + self.name
        head = fields((b":status", b"200"), (b"content-type", b"application/grpc"))
        return (
            frame(HEADERS, END_HEADERS, stream, head)
            + frame(DATA, 0, stream, message)
            + frame(HEADERS, END_HEADERS | END_STREAM, stream, fields((b"grpc-status", b"0")))
        )


def main() -> None:
    manifest = Path(sys.argv[1])
    [port] = re.findall(r"\{name: grpc, port: (\d+)\}", manifest.read_text().rpartition("kind: EndpointSlice")[2])
    Connection.name = manifest.stem.encode()
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", int(port)), Connection) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
