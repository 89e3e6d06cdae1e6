"""HTTP/2 by libnghttp2: sessions of connections that carry streams, and their fields as Messages."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
