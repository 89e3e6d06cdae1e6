"""nearest(): the name that an unknown name was probably meant to be, for messages that ask "did you mean ...?"."""

import difflib
from collections.abc import Iterable

_SIMILAR = 0.75  # difflib's ratio, from 0 to 1: similar enough to be a typing error


def nearest(value: str, choices: Iterable[str], similar: float = _SIMILAR) -> str | None:
    """The most similar choice, if its ratio is at least `similar`. Upper and lower case are not distinguished.

    >>> nearest("http", ["HTTP", "HTTPS"]), nearest("Servce", ["Service", "Secret"]), nearest("Pod", ["Service"])
    ('HTTP', 'Service', None)
    """
    folded = {choice.casefold(): choice for choice in choices}
    found = difflib.get_close_matches(value.casefold(), folded, 1, similar)
    return folded[found[0]] if found else None
