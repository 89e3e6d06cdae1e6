"""Hostnames of listeners and routes: which meet, and which takes a request (Gateway API v1.6, Hostname).

A pattern is lower case: "" takes every host, "*.example.com" every name below at any depth but not example.com itself,
anything else only itself.
"""

ANY = ""
WILDCARD = "*."


def covers(pattern: str, hostname: str) -> bool:
    """Whether every host that `hostname` takes is also taken by `pattern`.

    >>> covers("*.example.com", "a.b.example.com"), covers("*.example.com", "example.com")
    (True, False)
    """
    if pattern in (ANY, hostname):
        return True
    return pattern.startswith(WILDCARD) and hostname.endswith(pattern[1:])


def meet(one: str, other: str) -> bool:
    """Whether some host is taken by both."""
    return covers(one, other) or covers(other, one)


def meeting(listener: str, hostnames: tuple[str, ...]) -> tuple[str, ...]:
    """The route's own hostnames that meet the listener's, in order; ("",) for a route that names none.

    Own, not the intersection: routes are ranked by what is written in them (Gateway API v1.7).
    """
    if not hostnames:
        return (ANY,)
    return tuple(dict.fromkeys(name for name in map(str.lower, hostnames) if meet(listener, name)))


def common(one: str, other: str) -> str:
    """The hosts that two patterns which meet both take.

    >>> common("*.example.com", "a.example.com"), common("", "*.com")
    ('a.example.com', '*.com')
    """
    return other if covers(one, other) else one


def specificity(pattern: str) -> tuple[int, int]:
    """Sorts patterns that meet: an exact name first, then the longest wildcard, then any host.

    >>> sorted(["", "*.com", "a.example.com", "*.example.com"], key=specificity)
    ['a.example.com', '*.example.com', '*.com', '']
    """
    kind = 2 if pattern == ANY else 1 if pattern.startswith(WILDCARD) else 0
    return kind, -len(pattern)
