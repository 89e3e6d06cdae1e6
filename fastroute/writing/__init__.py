"""Writes statuses, Events, Leases and Services to an API server."""
