from collections.abc import Sequence
from typing import TypeAlias

_Fields: TypeAlias = Sequence[tuple[str, str | bytes]]

class Filters:
    def __init__(self, filters: tuple[object, ...]) -> None: ...
    def request(
        self,
        fields: _Fields = (),
        *,
        method: str = "GET",
        path: str = "/",
        query: str | None = None,
        host: str = "",
        prefix: int = 0,
        port: int = 80,
        tls: bool = False,
        arena: int = 65536,
    ) -> tuple[list[tuple[str, str]], str, str, tuple[int, str | list[tuple[str, str]]] | None]: ...
    def response(self, fields: _Fields = (), *, origin: str = "", arena: int = 65536) -> list[tuple[str, str]]: ...
