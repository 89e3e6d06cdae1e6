REASONS: tuple[str, ...]
"""Names by number, as counted in the counters' local responses; "" where there is none."""
