"""A request or an answer whatever its protocol, and what is the same for all protocols."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
