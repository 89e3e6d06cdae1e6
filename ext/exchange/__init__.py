"""What happens to a connection and to a request: accepting, relaying, retrying, answering, recording."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
