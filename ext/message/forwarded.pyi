from collections.abc import Iterable, Sequence

class Forwarding:
    def __init__(self, trusted_proxies: Iterable[str] = ()) -> None: ...
    def trusts(self, address: str) -> bool: ...
    def apply(
        self,
        peer: str,
        fields: Sequence[tuple[str, str | bytes]],
        *,
        host: str = "",
        tls: bool = False,
        arena: int = 65536,
    ) -> tuple[list[tuple[str, str]], str, str]: ...
    def seconds(self, peer: str, fields: Sequence[tuple[str, str | bytes]], rounds: int) -> float: ...
