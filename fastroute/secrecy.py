"""Which values of header fields and query parameters are not shown: those that may be credentials.

Of a URL in an error, no query and no user name is shown.
"""

import re
from urllib.parse import unquote_plus

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
_SCHEME = re.compile(r"(?:[^/?#@:]*:)?//")
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

    The URL may be malformed: a password may have characters that end a host, so a user name may end at the last `@`.
    A part with both is all hidden: its end may belong to a query.

    >>> shown_url("http://user:pass@web:80/a?token=b"), shown_url("web/a#b"), shown_url("ftp://x/")
    ('http://***@web:80/a?***', 'web/a?***', 'ftp://x/')
    >>> shown_url("http://user:pa/ss@web"), shown_url("http://user:pa?ss@web"), shown_url("http://web?token=a@b")
    ('http://***@web', 'http://***', 'http://***')
    """
    found = _SCHEME.match(url)
    scheme = found[0] if found else ""
    user, at, rest = url[len(scheme) :].rpartition("@")
    if _QUERY.search(user):
        return f"{scheme}{HIDDEN}"
    return f"{scheme}{HIDDEN if at else ''}{at}{_QUERY.sub(f'?{HIDDEN}', rest)}"


def shown_query(query: str) -> str:
    """A query, with the values of parameters that may be credentials hidden.

    >>> shown_query("a=1&token=x&pwd&sig=a=b"), shown_query("%74oken=x&a=1;token=x;y&b=1;2")
    ('a=1&token=***&pwd&sig=***', '%74oken=***&a=1;token=***&b=1;2')
    """
    return "&".join(map(_shown_parameter, query.split("&")))


def _shown_parameter(text: str) -> str:
    """For some servers `;` separates parameters, for others it is part of a value: what follows a credential is hidden.

    Servers decode names before they compare them.
    """
    parts = text.split(";")
    for index, part in enumerate(parts):
        name, _, value = part.partition("=")
        if is_credential(unquote_plus(name)) and (value or parts[index + 1 :]):
            return ";".join((*parts[:index], f"{name}={HIDDEN}"))
    return text
