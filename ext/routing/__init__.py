"""The tables that a request is matched with: listeners, rules, filters, backends, weights."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
