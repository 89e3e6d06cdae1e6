"""UDP: places, flows of datagrams, and what passes in both directions."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
