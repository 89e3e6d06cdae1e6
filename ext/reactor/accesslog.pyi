FORMATS: dict[str, int]

class AccessLog:
    def __init__(self, fd: int, format: str = "json", sample: float = 1.0, seed: int | None = None) -> None: ...
    @property
    def dropped(self) -> int: ...
    def reopen(self, fd: int) -> None: ...
    def close(self) -> None: ...
    def fileno(self) -> int: ...
    def flush_now(self) -> None: ...
    def record(
        self,
        *,
        time: int,
        method: bytes | None,
        host: bytes | None,
        path: bytes | None,
        minor: int | None,
        status: int,
        reason: bytes | None,
        bytes_received: int,
        bytes_sent: int,
        duration: int,
        upstream: bytes | None,
        upstream_duration: int,
        gateway: bytes | None,
        listener: bytes | None,
        route: bytes | None,
        route_kind: bytes | None,
        rule: bytes | None,
        backend: bytes | None,
        client: bytes | None,
        request_id: bytes | None,
        upstream_minor: int | None = None,
        grpc_status: int | None = None,
        tls_version: bytes | None = None,
        tls_server_name: bytes | None = None,
        user_agent: bytes | None = None,
        referer: bytes | None = None,
        trace_id: bytes | None = None,
        tries: int = 0,
    ) -> None: ...
