"""Why a request goes where it goes, in plain Python: the CLI's `explain`, and the oracle of ext/router and ext/filters.

`explain` (explanation.py) tells the whole story of a Request (request.py): where it comes in (arrival.py), which rule
takes it (matching.py), what filters make of it (filtering.py), who gets what share (share.py), and what came near
(considered.py).
"""
