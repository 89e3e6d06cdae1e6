CAUSES: dict[int, tuple[int, bytes]]
