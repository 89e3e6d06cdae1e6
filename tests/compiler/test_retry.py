"""The retry settings that the data plane gets."""

import pytest

from fastroute.compiler.retry import retry_of
from fastroute.resources.http_rule import HTTPRetry
from fastroute.snapshot import Retry


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, None),
        (HTTPRetry(), Retry(attempts=1, codes=(), backoff_ms=25)),
        (HTTPRetry(attempts=0, codes=(500,)), Retry(attempts=0, codes=(500,), backoff_ms=25)),
        (
            HTTPRetry(attempts=3, codes=(503, 500, 503), backoff="1m2s3ms"),
            Retry(attempts=3, codes=(500, 503), backoff_ms=62_003),
        ),
        (HTTPRetry(attempts=10, backoff="0s"), Retry(attempts=10, codes=(), backoff_ms=0)),
    ],
)
def test_retry_of(written: HTTPRetry | None, expected: Retry | None) -> None:
    assert retry_of(written) == expected
