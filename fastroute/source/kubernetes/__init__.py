"""Reads objects from an API server (client, watches) and writes statuses, Events, Leases and Services to it."""
