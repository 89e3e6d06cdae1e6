"""Spans of requests: the workers send a line for each sampled request, the main process exports its spans over OTLP."""
