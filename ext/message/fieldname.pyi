CLAIMS: tuple[bytes, ...]
CLAIM_PREFIXES: tuple[bytes, ...]
HOP_FIELDS: tuple[int, ...]
