"""A connection to an API server: credentials, requests, the kinds and their JSON. Used to read and to write."""
