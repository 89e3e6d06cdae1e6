"""Editions: minor versions of the Gateway API, and the behaviour in which they contradict each other.

The bundle version of the installed CRDs determines the edition.
"""

import re

import msgspec

_VERSION = re.compile(r"v(\d+)\.(\d+)\.")


class Edition(msgspec.Struct, frozen=True, kw_only=True):
    """A minor version of the Gateway API, with the behaviour in which it contradicts another one."""

    name: str  # "v1.6"
    session_holds_backend: bool  # a session keeps its backend regardless of the weights (GEP-1619 before v1.7)


EDITIONS = (  # oldest first
    Edition(name="v1.6", session_holds_backend=True),
    Edition(name="v1.7", session_holds_backend=False),
)
KNOWN = tuple(edition.name for edition in EDITIONS)


def edition_of(bundle_version: str | None) -> Edition:
    """The edition that applies: the installed one, or the nearest known one; the oldest if none is installed.

    >>> edition_of("v1.7.0").name, edition_of("v1.4.1").name, edition_of("v0.0.0-dev").name, edition_of(None).name
    ('v1.7', 'v1.6', 'v1.7', 'v1.6')
    """
    minor = minor_version(bundle_version)
    if minor in KNOWN:
        return EDITIONS[KNOWN.index(minor)]
    older = minor is None or (minor != DEVELOPMENT and _number(minor) < _number(KNOWN[0]))
    return EDITIONS[0 if older else -1]


DEVELOPMENT = "v0.0"  # the version of unreleased CRDs


def minor_version(bundle_version: str | None) -> str | None:
    """
    >>> minor_version("v1.6.3"), minor_version("odd")
    ('v1.6', None)
    """
    found = _VERSION.match(bundle_version or "")
    return f"v{found[1]}.{found[2]}" if found else None


def _number(minor: str) -> tuple[int, ...]:
    return tuple(map(int, minor.removeprefix("v").split(".")))
