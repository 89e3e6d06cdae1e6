"""A worker: one process, one thread, one trio program around one engine. See serve.py."""
