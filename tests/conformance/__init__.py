"""Runs the official Gateway API conformance suite against fastroute, on a real API server on this machine."""
