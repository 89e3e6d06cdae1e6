"""Hostnames of listeners and routes: which intersect, and which match a request (Gateway API v1.6, Hostname).

A pattern is in lower case. "" matches every host, "*.example.com" every name below example.com at any depth but not
example.com itself, and any other pattern only itself.
"""

ANY = ""
WILDCARD = "*."


def covers(pattern: str, hostname: str) -> bool:
    """Whether `pattern` matches every host that `hostname` matches.

    >>> covers("*.example.com", "a.b.example.com"), covers("*.example.com", "example.com")
    (True, False)
    """
    if pattern in (ANY, hostname):
        return True
    return pattern.startswith(WILDCARD) and hostname.endswith(pattern[1:])


def meet(one: str, other: str) -> bool:
    """Whether some host matches both."""
    return covers(one, other) or covers(other, one)


def meeting(listener: str, hostnames: tuple[str, ...]) -> tuple[str, ...]:
    """The route's hostnames that intersect with the listener's, in order; ("",) for a route without hostnames.

    These are the hostnames as written, not the intersections: precedence depends on them (Gateway API v1.7).
    """
    if not hostnames:
        return (ANY,)
    return tuple(dict.fromkeys(name for name in map(str.lower, hostnames) if meet(listener, name)))


def common(one: str, other: str) -> str:
    """The hosts that match both of two patterns that intersect.

    >>> common("*.example.com", "a.example.com"), common("", "*.com")
    ('a.example.com', '*.com')
    """
    return other if covers(one, other) else one


def specificity(pattern: str) -> tuple[int, int]:
    """Sort key for patterns that intersect: an exact name first, then the longest wildcard, then any host.

    >>> sorted(["", "*.com", "a.example.com", "*.example.com"], key=specificity)
    ['a.example.com', '*.example.com', '*.com', '']
    """
    kind = 2 if pattern == ANY else 1 if pattern.startswith(WILDCARD) else 0
    return kind, -len(pattern)
