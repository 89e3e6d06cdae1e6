"""Retries of rules in the terms of the data plane."""

from fastroute.resources.duration import milliseconds
from fastroute.resources.gateway import HTTPRouteRetry
from fastroute.snapshot import Retry

BACKOFF = 25  # milliseconds of the first pause where a route names none
MOST = 2**31 - 1  # tries; more are as good as for ever, and no number for the wire


def retry_of(written: HTTPRouteRetry | None) -> Retry | None:
    if written is None:
        return None
    backoff = BACKOFF if written.backoff is None else milliseconds(written.backoff)
    attempts = min(written.attempts, MOST)
    return Retry(attempts=attempts, codes=tuple(sorted(set(written.codes))), backoff_ms=backoff)
