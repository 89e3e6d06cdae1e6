"""Compiles the Graph into a Snapshot, the configuration of the data plane. Pure; makes no decisions of its own."""
