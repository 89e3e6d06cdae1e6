"""nearest(): which of some names was surely meant by one that is none of them. For "did you mean"."""

import difflib
from collections.abc import Iterable

_SIMILAR = 0.75  # of 1, as difflib measures it: what may be a slip of the pen


def nearest(value: str, choices: Iterable[str], similar: float = _SIMILAR) -> str | None:
    """The choice that is surely meant, if one is as `similar`; another case is the same name.

    >>> nearest("http", ["HTTP", "HTTPS"]), nearest("Servce", ["Service", "Secret"]), nearest("Pod", ["Service"])
    ('HTTP', 'Service', None)
    """
    folded = {choice.casefold(): choice for choice in choices}
    found = difflib.get_close_matches(value.casefold(), folded, 1, similar)
    return folded[found[0]] if found else None
