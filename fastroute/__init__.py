"""fastroute: a Kubernetes Gateway API gateway. See ARCHITECTURE.md for the control plane and the data plane."""

__version__ = "0.1.0"
