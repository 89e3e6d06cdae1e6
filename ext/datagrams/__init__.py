"""The protocols of the two sides of an exchange: messages to bytes and back."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
