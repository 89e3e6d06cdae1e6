"""An API server as a source: it is read (client, watches, the held state of each object) and written to."""
