"""Translates retries of rules for the data plane."""

from fastroute.resources.duration import milliseconds
from fastroute.resources.http_rule import HTTPRetry
from fastroute.snapshot import Retry

BACKOFF = 25  # milliseconds before the first retry, if the route does not specify it


def retry_of(written: HTTPRetry | None) -> Retry | None:
    if written is None:
        return None
    backoff = BACKOFF if written.backoff is None else milliseconds(written.backoff)
    return Retry(attempts=written.attempts, codes=tuple(sorted(set(written.codes))), backoff_ms=backoff)
