CLAIMS: tuple[bytes, ...]
CLAIM_PREFIXES: tuple[bytes, ...]
