"""fastroute: a Kubernetes Gateway API gateway. See ARCHITECTURE.md for the two rivers and the types between them."""

__version__ = "0.1.0"
