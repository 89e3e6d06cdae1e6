"""Reads the objects of users, from folders of manifests or an API server, into the Store."""
