"""Reads objects from an API server: discovery, lists and watches."""
