"""Whether the data plane's engine (RE2, linear time) takes a route's pattern."""

import re
from functools import lru_cache

try:
    from fastroute.ext.regex import Regex
except ImportError:  # not built
    Regex = re.compile


@lru_cache(maxsize=4096)
def regex_error(pattern: str) -> str | None:
    """RE2's complaint, or None."""
    try:
        Regex(pattern)
    except (ValueError, re.error) as error:
        return str(error)
    return None
