"""Session persistence: valid names and lifetimes of tokens, and the path of cookies."""

import re
from collections.abc import Iterator, Set

from fastroute.graph import conditions
from fastroute.graph.header import FRAMING_FIELDS, plain_name
from fastroute.graph.node import Problem
from fastroute.resources.duration import milliseconds
from fastroute.resources.http_rule import SessionPersistence

_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2; RFC 6265 section 4.1.1
_PATH = re.compile(r"/[!-:<-~]*")  # RFC 6265 section 4.1.1: path-value, without spaces
_NOT_IN_A_COOKIE = frozenset(";, \t")  # RFC 6265 section 4.1.1: path-value
# Fields with another meaning: a token in their place would break the message or replace other information.
TAKEN_FIELDS = FRAMING_FIELDS | {"host", "cookie", "set-cookie", "content-type", "content-encoding", "location", "vary"}


def session_problems(written: SessionPersistence, field: str) -> Iterator[Problem]:
    """`field`: path of `written`."""
    part, name = written.token
    if name is not None and not _TOKEN.fullmatch(name):
        what = f"{name or 'an empty name'} is not a valid {written.type.lower()} name."
        yield conditions.unsupported_value(what, f"{field}.{part}", "Use letters, digits, '-' and '_'.")
    elif name is not None and written.type == "Header" and plain_name(name) in TAKEN_FIELDS:
        what = f"{name} has another meaning and cannot carry a session."
        yield conditions.unsupported_value(what, f"{field}.{part}", "Use another name.")
    if written.cookie is not None and not _PATH.fullmatch(written.cookie.path):
        what = f"{written.cookie.path} is not a valid cookie path."
        yield conditions.unsupported_value(what, f"{field}.cookie.path", "Use one that begins with /.")
    if written.absolute_timeout is not None and milliseconds(written.absolute_timeout) == 0:
        what = "the timeout must be longer than 0."
        yield conditions.unsupported_value(what, f"{field}.absoluteTimeout", "Use a longer one, or remove it.")


def cookie_path(written: SessionPersistence, paths: Set[tuple[str, str]], *, holds_backend: bool) -> str:
    """The path of the cookie of a rule with these `paths`, each a type and a value as in comparisons with requests.

    By default it is the path of the rule, if there is exactly one, so that browsers keep the sessions of rules
    separate; with v1.7 it is the root.
    """
    if written.cookie is not None:
        return written.cookie.path
    if not holds_backend or len(paths) != 1:
        return "/"
    [(type_, value)] = paths
    plain = type_ != "RegularExpression" and value.isascii() and not _NOT_IN_A_COOKIE & set(value)
    return value if plain and value else "/"
