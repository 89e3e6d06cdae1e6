"""Which values of header fields and query parameters are not shown: those that may be credentials."""

import re

HIDDEN = "***"
_PARTS = re.compile(  # anywhere in a name
    r"auth|cookie|token|secret|passw|passphrase|credential|sess(?:ion|id)|signature|bearer|jwt|hmac|csrf|xsrf|assertion",
    re.IGNORECASE,
)
_WORDS = re.compile(  # a word of a name, or several that are written as one
    r"(?:api|access|account|app|client|encryption|master|private|secret|service|shared|signing|subscription)?keys?"
    r"|pass|passcode|pin|pw|pwd|sid|sig|ticket|t?otp",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[^A-Za-z]+|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # words
_WHOLE = frozenset({"code"})  # of OAuth; `country-code` is none


def is_credential(name: str) -> bool:
    """Whether the name of a field or parameter suggests that its value is secret.

    >>> [name for name in ("Authorization", "X-Api-Key", "apikey2", "x-monkey", "Accept") if is_credential(name)]
    ['Authorization', 'X-Api-Key', 'apikey2']
    """
    words = (_WORDS.fullmatch(word) for word in _BETWEEN.split(name))
    return _PARTS.search(name) is not None or name.lower() in _WHOLE or any(words)


def shown_value(name: str, value: str) -> str:
    """The value, unless it may be a credential."""
    return HIDDEN if is_credential(name) else value
