"""The state of one engine: sockets, connections, exchanges, deadlines, counters."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
