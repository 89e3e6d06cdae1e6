"""Benchmarks with a real API server: latency of a change, cost of statuses, resources of an idle gateway.

All of them run in a temporary network namespace, with the cluster of tests/cluster.
"""
