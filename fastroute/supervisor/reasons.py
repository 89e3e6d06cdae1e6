"""The names of LocalReasons, as the engine counts them by number."""

from fastroute.ext.reason import REASONS
from fastroute.ext.refusal import CAUSES

_REFUSED = 64  # REASON_REFUSED: from here on the number is one of http1's refusals


def reason(number: int) -> str:
    """The name in the access log and in `reason` labels."""
    if number < _REFUSED:
        return REASONS[number]
    _, name = CAUSES[number - _REFUSED]
    return name.decode()
