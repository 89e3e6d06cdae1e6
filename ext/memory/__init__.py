"""Memory and numbers without knowledge of HTTP: buffers, maps, pools, random numbers."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
