REASONS: tuple[str, ...]
"""Names by number, as in the local responses of the counters; "" if there is none."""
