"""Which values of header fields and query parameters are not shown: those that may be credentials.

Of a URL in an error, no query and no user name is shown.
"""

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
_USER = re.compile(r"^([^/?#]*://|//)?[^/?#]*@")
_QUERY = re.compile(r"[?#].*", re.DOTALL)


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


def shown_url(url: str) -> str:
    """A URL for an error: where it has a user name, a password, a query or a fragment, `***` is instead.

    >>> shown_url("http://user:pass@web:80/a?token=b"), shown_url("web/a#b"), shown_url("ftp://x/")
    ('http://***@web:80/a?***', 'web/a?***', 'ftp://x/')
    """
    return _QUERY.sub("?***", _USER.sub(rf"\1{HIDDEN}@", url))


def shown_query(query: str) -> str:
    """A query, with the values of parameters that may be credentials hidden.

    >>> shown_query("a=1&token=x&pwd&sig=a=b")
    'a=1&token=***&pwd&sig=***'
    """
    parts = (one.partition("=") for one in query.split("&"))
    return "&".join(f"{name}{equals}{shown_value(name, value) if value else value}" for name, equals, value in parts)
