"""A real Kubernetes API on this machine: programs built, started in a namespace of their own, killed, made slow."""
