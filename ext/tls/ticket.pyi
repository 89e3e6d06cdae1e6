from collections.abc import Sequence

KEY_SIZE: int

def set_keys(keys: Sequence[bytes]) -> None: ...
