"""Why a request goes where it goes, in plain Python: the CLI's `explain`, and the oracle of ext/router and ext/filters.

`explain` (explanation.py) tells the whole story; below it are the matcher (matching.py), the filters (filtering.py) and
the near misses (considered.py), over a Request (request.py).
"""
