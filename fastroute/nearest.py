"""nearest(): the name that an unknown name was probably meant to be, for messages that ask "did you mean ...?".

Tenants choose both the unknown name and, for names of listeners and Gateways, the names that it is compared with. The
similarity of difflib takes up to a second for 64 names of 200 characters, so it is used only for a few short names.
"""

import difflib
from collections.abc import Iterable
from itertools import islice

_SIMILAR = 0.75  # difflib's ratio, from 0 to 1: similar enough to be a typing error
_MOST_CHOICES = 64  # only so many are compared
_FEW = 16  # choices, and characters of the value: difflib compares them in less than 0.5 ms
_MOST_LETTERS = 64  # longer names get no suggestion
_TYPED_WRONG = 2  # adjacent letters


def nearest(value: str, choices: Iterable[str]) -> str | None:
    """The choice that differs from `value` by a typing error. Upper and lower case are not distinguished.

    >>> nearest("http", ["HTTP", "HTTPS"]), nearest("Servce", ["Service", "Secret"]), nearest("Pod", ["Service"])
    ('HTTP', 'Service', None)
    """
    folded = {choice.casefold(): choice for choice in islice(choices, _MOST_CHOICES)}
    value = value.casefold()
    if value in folded:
        return folded[value]
    if len(value) <= _FEW and len(folded) <= _FEW:
        found = difflib.get_close_matches(value, [name for name in folded if len(name) <= 2 * _FEW], 1, _SIMILAR)
        return folded[found[0]] if found else None
    return next((choice for name, choice in folded.items() if _is_slip(value, name)), None)


def _is_slip(one: str, other: str) -> bool:
    """Whether the names differ in at most two adjacent letters: replaced, missing, added or transposed.

    >>> _is_slip("shop-listener", "shop-lisetner"), _is_slip("shop-listener", "shop-listner"), _is_slip("ab", "xy")
    (True, True, False)
    """
    shorter, longer = sorted((len(one), len(other)))
    if longer > _MOST_LETTERS or longer - shorter > _TYPED_WRONG or shorter <= _TYPED_WRONG:
        return False
    before = _same(one, other, shorter)
    behind = _same(one[::-1], other[::-1], shorter - before)
    return longer - before - behind <= _TYPED_WRONG


def _same(one: str, other: str, most: int) -> int:
    """How many of the first `most` letters are the same."""
    return next((index for index in range(most) if one[index] != other[index]), most)
