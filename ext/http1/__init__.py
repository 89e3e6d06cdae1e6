"""HTTP/1.1 as bytes: parsing and writing heads, fields and bodies."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
