"""The official Gateway API conformance suite against fastroute, on a real API server of this machine."""
