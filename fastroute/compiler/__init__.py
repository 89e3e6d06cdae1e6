"""Graph to Snapshot: what was decided becomes what the data plane obeys. Pure; nothing is decided here twice."""
