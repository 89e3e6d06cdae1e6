"""Measurements: parts by pytest-benchmark (micro), whole proxies side by side (peers), size (scale), change (churn)."""
