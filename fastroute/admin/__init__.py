"""The HTTP endpoints for operators of a running gateway."""
