"""One normaliser for the paths of requests and the values of routes, compared with RFC 3986 in Python."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastroute.explain import request as plain
from fastroute.ext.http1.http1 import Refused, RequestHead, normalise_path, read_request

UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

NORMAL = {
    b"/": b"/",
    b"/a/b": b"/a/b",
    b"/%61dmin": b"/admin",
    b"/%7Euser/%2D%2e%5f": b"/~user/-._",
    b"/%c3%a4": b"/%C3%A4",
    b"/a%2fb": b"/a%2Fb",
    b"/a%2Fb": b"/a%2Fb",
    b"/%252e%252e/": b"/%252e%252e/",
    b"/a%5c..": b"/a%5C..",
    b"/.": b"/",
    b"/./": b"/",
    b"/././.": b"/",
    b"/a/.": b"/a/",
    b"/a/./b": b"/a/b",
    b"/a/..": b"/",
    b"/a/../": b"/",
    b"/a/b/..": b"/a/",
    b"/a/b/../c": b"/a/c",
    b"/a/b/../../c": b"/c",
    b"/a/%2e%2e/c": b"/c",
    b"/a/.%2E/c": b"/c",
    b"/a/b/%2E": b"/a/b/",
    b"/...": b"/...",
    b"/..a/b..": b"/..a/b..",
    b"/.a/.well-known": b"/.a/.well-known",
    b"/a//b": b"/a//b",
    b"//": b"//",
    b"//a": b"//a",
    b"/a//../b": b"/a/b",
    b"/a/..//b": b"//b",
    b"/a;x=1/b;y": b"/a;x=1/b;y",
    b"/..;/a": b"/..;/a",
    b"/A/b": b"/A/b",
    b"/a/b:80@x,y!$&'()*+": b"/a/b:80@x,y!$&'()*+",
}

MERGED = {
    b"//": b"/",
    b"/a//b": b"/a/b",
    b"///a///b///": b"/a/b/",
    b"/a//../b": b"/b",
    b"//./": b"/",
    b"/a/%2F/": b"/a/%2F/",
}

WITHOUT = {
    b"/..": "path_above_root",
    b"/../a": "path_above_root",
    b"/a/../..": "path_above_root",
    b"/%2e%2e": "path_above_root",
    b"/./../a": "path_above_root",
    b"/%": "path_escape",
    b"/%a": "path_escape",
    b"/%g0": "path_escape",
    b"/%0g": "path_escape",
    b"/%%41": "path_escape",
    b"/%00": "path_escape",
}


@pytest.mark.parametrize(("path", "normal"), NORMAL.items())
def test_a_path_has_one_normal_form(path: bytes, normal: bytes) -> None:
    assert normalise_path(path) == normal
    assert requested(path) == normal


@pytest.mark.parametrize(("path", "normal"), MERGED.items())
def test_slashes_are_merged_when_asked(path: bytes, normal: bytes) -> None:
    assert normalise_path(path, merge_slashes=True) == normal
    assert requested(path, merge_slashes=True) == normal


@pytest.mark.parametrize(("path", "reason"), WITHOUT.items())
def test_a_path_without_a_normal_form_is_refused(path: bytes, reason: str) -> None:
    assert requested(path) == reason
    with pytest.raises(ValueError, match=reason):
        normalise_path(path)


def test_merging_climbs_by_merged_segments() -> None:
    assert requested(b"//..") == b"/"
    assert requested(b"//..", merge_slashes=True) == "path_above_root"


def test_routes_values_are_text() -> None:
    assert normalise_path("/%61/ä") == "/a/ä".encode()
    with pytest.raises(ValueError, match="does not start"):
        normalise_path("a")
    with pytest.raises(ValueError, match="does not start"):
        normalise_path("")


def requested(path: bytes, *, merge_slashes: bool = False) -> bytes | str:
    """The path that is matched for a request for `path`, or the reason for refusing it."""
    head = read_request(b"GET " + path + b"?/../ HTTP/1.1\r\nHost: a\r\n\r\n", merge_slashes=merge_slashes)
    assert isinstance(head, RequestHead | Refused)
    return head.path if isinstance(head, RequestHead) else head.reason


# -------------------------------------------------------------------------------------------------------------- oracle


def oracle(path: bytes, *, merge_slashes: bool = False) -> bytes | None:
    """RFC 3986 section 6.2.2 on lists of segments; None if the path is refused."""
    if re.search(rb"%(?![0-9A-Fa-f]{2})|%00", path):
        return None

    def unescape(found: re.Match[bytes]) -> bytes:
        octet = bytes.fromhex(found[1].decode())
        return octet if octet in UNRESERVED else found[0].upper()

    segments = re.sub(rb"%(..)", unescape, path).split(b"/")[1:]
    if merge_slashes:
        segments = [segment for segment in segments[:-1] if segment] + segments[-1:]
    kept: list[bytes] = []
    for segment in segments:
        if segment == b"..":
            if not kept:
                return None
            kept.pop()
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in (b".", b".."):
        kept.append(b"")
    return b"/" + b"/".join(kept)


PIECES = [
    b"/",
    b"/",
    b"/",
    b".",
    b"..",
    b"a",
    b"bc",
    b"%2e",
    b"%2E",
    b"%2f",
    b"%61",
    b"%7e",
    b"%C3",
    b"%",
    b"%0",
    b"%00",
    b";",
]
PATHS = st.lists(st.sampled_from(PIECES), max_size=12).map(lambda pieces: b"/" + b"".join(pieces))


@given(path=PATHS, merge_slashes=st.booleans())
@example(path=b"/a//..", merge_slashes=True)
@example(path=b"/a/../", merge_slashes=False)
def test_paths_agree_with_the_rfc_written_out(path: bytes, merge_slashes: bool) -> None:
    expected = oracle(path, merge_slashes=merge_slashes)
    found = requested(path, merge_slashes=merge_slashes)
    assert found == expected if expected else found in ("path_escape", "path_above_root")
    if expected:
        assert normalise_path(expected, merge_slashes=merge_slashes) == expected


@given(path=PATHS)
def test_explain_normalises_alike(path: bytes) -> None:
    """`explain` normalises paths in the same way as the data plane."""
    found = requested(path)
    try:
        assert plain.normalise_path(path.decode()).encode() == found
    except ValueError:
        assert found in ("path_escape", "path_above_root")
