"""Measures on a real API server: how fast a change there is served, what statuses cost, what an idle gateway uses.

All of it runs in a network namespace that is thrown away, beside the cluster of tests/cluster.
"""
