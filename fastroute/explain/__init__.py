"""Explains how a request is routed, in plain Python: for the CLI's `explain`, and as the oracle of ext/routing/router
and ext/routing/filters in tests.

`explain` (explanation.py) describes all steps for a Request (request.py): the listener (arrival.py), the matching rule
(matching.py), the filters (filtering.py), the share of each backend (share.py), and other matches that were considered
(considered.py).
"""
