"""TLS by OpenSSL: certificates, contexts, records."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
