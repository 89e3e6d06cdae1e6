"""An API server as a source: reading (client, watches, what is held of each object), and writing."""
