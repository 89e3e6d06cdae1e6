kinds: tuple[str, ...]  # names by FailureKind; the first one is none
