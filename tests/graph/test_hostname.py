"""The intersection of hostnames of routes and listeners."""

import pytest

from fastroute.graph.hostname import covers, meet, meeting

MEETINGS = [
    # listener, hostnames of the route, their intersection
    ("", (), ("",)),
    ("a.example.com", (), ("",)),
    ("", ("a.example.com", "*.org"), ("a.example.com", "*.org")),
    ("a.example.com", ("a.example.com", "b.example.com"), ("a.example.com",)),
    ("a.example.com", ("*.example.com",), ("*.example.com",)),
    ("a.example.com", ("*.a.example.com",), ()),
    ("*.example.com", ("a.example.com", "a.b.example.com"), ("a.example.com", "a.b.example.com")),
    ("*.example.com", ("example.com",), ()),
    ("*.example.com", ("*.example.com", "*.b.example.com", "*.com"), ("*.example.com", "*.b.example.com", "*.com")),
    ("*.example.com", ("*.example.org", "aexample.com"), ()),
    ("a.example.com", ("A.Example.com", "a.example.com"), ("a.example.com",)),
]


@pytest.mark.parametrize(("listener", "own", "left"), MEETINGS)
def test_meeting(listener: str, own: tuple[str, ...], left: tuple[str, ...]) -> None:
    assert meeting(listener, own) == left


@pytest.mark.parametrize(
    ("pattern", "hostname", "expected"),
    [
        ("", "anything", True),
        ("", "", True),
        ("a.com", "", False),
        ("*.com", "*.a.com", True),
        ("*.a.com", "*.com", False),
        ("*.com", ".com", True),  # ".com" is not a valid hostname
        ("a.com", "a.com", True),
    ],
)
def test_covers(pattern: str, hostname: str, expected: bool) -> None:
    assert covers(pattern, hostname) is expected


def test_meet_is_symmetric() -> None:
    names = ("", "a.com", "*.com", "*.a.com", "b.a.com", "org")
    assert all(meet(one, other) == meet(other, one) for one in names for other in names)
