"""Logs what users should know: problems, warnings, expiring certificates, conditions, what is served."""
