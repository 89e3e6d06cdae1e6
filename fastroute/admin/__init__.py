"""What operators ask a running gateway over HTTP."""
