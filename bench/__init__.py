"""Benchmarks: parts with pytest-benchmark (micro), comparison of proxies (peers), size (scale), changes (churn)."""
