"""A real Kubernetes API on this machine: builds the programs, runs them in a separate namespace, injects faults."""
