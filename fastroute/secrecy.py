"""Which values of header fields and query parameters are not shown: those that may be credentials."""

import re

HIDDEN = "***"
_CREDENTIAL = re.compile(
    r"auth|cookie|token|secret|passw|credential|session|signature|bearer|jwt|(?:^|[-_])(?:api)?[-_]?key(?:$|[-_])",
    re.IGNORECASE,
)


def is_credential(name: str) -> bool:
    """Whether the name of a field or parameter suggests that its value is secret.

    >>> [name for name in ("Authorization", "X-Api-Key", "apikey", "x-monkey", "Accept") if is_credential(name)]
    ['Authorization', 'X-Api-Key', 'apikey']
    """
    return _CREDENTIAL.search(name) is not None


def shown_value(name: str, value: str) -> str:
    """The value, unless it may be a credential."""
    return HIDDEN if is_credential(name) else value
