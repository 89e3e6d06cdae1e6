"""One turn of the engine, and the class that a worker calls."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
