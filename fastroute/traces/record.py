"""The line that a worker writes for a sampled request (ext/reactor/traceline.pyx)."""

from typing import Annotated

import msgspec

WHOLE = 4096  # bytes of the longest line, with its end

_TraceId = Annotated[str, msgspec.Meta(min_length=32, max_length=32)]
_SpanId = Annotated[str, msgspec.Meta(min_length=16, max_length=16)]
_Time = Annotated[int, msgspec.Meta(ge=0, lt=1 << 52)]  # microseconds
_Number = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]


class Attempt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One try. Times in microseconds."""

    span: _SpanId
    started: _Time  # from the beginning of the request
    duration: _Time
    endpoint: str  # "10.0.0.1:8080"
    status: _Number  # of the answer; 0: none
    reason: str | None  # why it failed; None: it did not, or for the reason of the request


class Traced(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A request. The fields are those of the access log, in the order of the line."""

    started: _Time  # since 1970
    duration: _Time
    trace_id: _TraceId
    span: _SpanId  # of the server
    parent: _SpanId | None  # the span of the client
    method: str | None
    host: str | None
    path: str | None
    encrypted: bool  # TLS of the client ends here
    version: _Number | None
    status: _Number  # 0: none
    reason: str | None
    grpc_status: _Number | None
    client: str | None
    request_id: str | None
    user_agent: str | None
    gateway: str | None
    listener: str | None
    route: str | None
    route_kind: str | None
    rule: str | None
    backend: str | None
    tries: _Number  # in all; `attempts` may have fewer
    backend_encrypted: bool
    authority: str | None  # of the request that the backend gets
    backend_path: str | None
    backend_version: _Number | None
    attempts: tuple[Attempt, ...]
    policy: _Number = 0  # GatewayTracing.number of the policy that has sampled it; 0: none
    values: tuple[str | None, ...] = ()  # of the fields that the policy names


class Reader:
    """Decodes lines. What is no line is ignored: a worker that is taken over may write anything."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(Traced)
        self._rest = b""

    def read(self, data: bytes) -> list[Traced]:
        """The requests of the lines that are complete with these bytes."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest if len(rest) < WHOLE else b""
        return [request for line in lines if (request := self._decode(line)) is not None]

    def _decode(self, line: bytes) -> Traced | None:
        try:
            return self._decoder.decode(line)
        except msgspec.MsgspecError:
            return None
