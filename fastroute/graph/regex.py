"""Checks whether the data plane's engine (RE2, linear time) accepts a route's pattern."""

from functools import lru_cache

from fastroute.ext.regex import Regex


@lru_cache(maxsize=4096)
def regex_error(pattern: str) -> str | None:
    """The error message of RE2; None if the pattern is valid."""
    try:
        Regex(pattern)
    except ValueError as error:
        return str(error)
    return None
