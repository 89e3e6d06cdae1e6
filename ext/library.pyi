from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

class Library:
    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None: ...
    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType | None: ...
    @staticmethod
    def exec_module(module: ModuleType) -> None: ...
