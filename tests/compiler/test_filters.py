"""Filters as written, and the filters that the data plane gets."""

from typing import Any

import pytest

from fastroute.compiler.filters import filters_of
from fastroute.resources.gateway import BackendObjectReference
from fastroute.resources.http_rule import (
    Fraction,
    HTTPFilter,
    HTTPHeader,
    HTTPHeaderFilter,
    HTTPPathModifier,
    HTTPRequestMirrorFilter,
    HTTPRequestRedirectFilter,
    HTTPURLRewriteFilter,
)
from fastroute.snapshot import HeaderModifier, HeaderValue, Mirror, Redirect, Rewrite

MODIFIER = HTTPHeaderFilter(
    set=(HTTPHeader(name="X-A", value="1"), HTTPHeader(name="x-a", value="2"), HTTPHeader(name="X-B", value="3")),
    add=(HTTPHeader(name="X-C", value=" a\r\nEvil: yes\0 "),),
    remove=("X-D", "x-d", "X-E"),
)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            HTTPFilter(type="RequestHeaderModifier", request_header_modifier=MODIFIER),
            HeaderModifier(
                direction="request",
                set=(HeaderValue("X-A", "1"), HeaderValue("X-B", "3")),
                add=(HeaderValue("X-C", "a  Evil: yes"),),
                remove=("X-D", "X-E"),
            ),
        ),
        (
            HTTPFilter(type="ResponseHeaderModifier", response_header_modifier=HTTPHeaderFilter(remove=("A",))),
            HeaderModifier(direction="response", remove=("A",)),
        ),
        (
            HTTPFilter(type="RequestRedirect", request_redirect=HTTPRequestRedirectFilter()),
            Redirect(status=302),
        ),
        (
            HTTPFilter(
                type="RequestRedirect",
                request_redirect=HTTPRequestRedirectFilter(
                    scheme="https",
                    hostname="example.org",
                    port=8443,
                    status_code=308,
                    path=HTTPPathModifier(type="ReplaceFullPath", replace_full_path="/new"),
                ),
            ),
            Redirect(status=308, scheme="https", hostname="example.org", port=8443, full_path="/new"),
        ),
        (
            HTTPFilter(type="URLRewrite", url_rewrite=HTTPURLRewriteFilter(hostname="inner")),
            Rewrite(hostname="inner"),
        ),
    ],
)
def test_each_kind(written: HTTPFilter, expected: object) -> None:
    assert filters_of((written,)) == (expected,)


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        ("", ""),
        ("/", ""),
        ("/xyz", "/xyz"),
        ("/xyz/", "/xyz"),
        ("xyz", "/xyz"),
        ("/a b?c#d\r\n", "/a%20b%3Fc%23d%0D%0A"),
        ("/%41/ä", "/A/%C3%A4"),
        ("/a/../b", "/b"),
        ("/a/%2e%2E/b/./", "/b"),
        ("/a/..", ""),
        ("//a//b//", "/a//b"),
        ("/.//a", "/a"),
        ("/a%2fb;c", "/a%2Fb;c"),
    ],
)
def test_replacements_of_a_prefix_are_made_safe(replacement: str, expected: str) -> None:
    path = HTTPPathModifier(type="ReplacePrefixMatch", replace_prefix_match=replacement)
    assert filters_of((HTTPFilter(type="URLRewrite", url_rewrite=HTTPURLRewriteFilter(path=path)),)) == (
        Rewrite(prefix=expected),
    )


FULL_PATHS = [
    ("", "/"),
    ("/", "/"),
    ("a", "/a"),
    ("/a/", "/a/"),
    ("//evil.org/a", "/evil.org/a"),
    ("/a/./%2e%2e/b%2f..", "/b%2F.."),
    ("/a/..", "/"),
    ("/.//a//", "/a//"),
]


@pytest.mark.parametrize(("replacement", "expected"), FULL_PATHS)
def test_full_paths_are_made_safe(replacement: str, expected: str) -> None:
    path = HTTPPathModifier(type="ReplaceFullPath", replace_full_path=replacement)
    assert filters_of((HTTPFilter(type="URLRewrite", url_rewrite=HTTPURLRewriteFilter(path=path)),)) == (
        Rewrite(full_path=expected),
    )


def test_order_is_kept_and_what_is_not_served_is_an_error() -> None:
    written = (
        HTTPFilter(type="URLRewrite", url_rewrite=HTTPURLRewriteFilter(hostname="inner")),
        HTTPFilter(type="RequestHeaderModifier", request_header_modifier=HTTPHeaderFilter(remove=("A",))),
    )
    assert [type(made) for made in filters_of(written)] == [Rewrite, HeaderModifier]
    with pytest.raises(KeyError):
        filters_of((HTTPFilter(type="RequestMirror"),))


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        ({}, (1, 1)),
        ({"percent": 100}, (1, 1)),
        ({"percent": 20}, (1, 5)),
        ({"percent": 0}, None),
        ({"fraction": Fraction(numerator=5)}, (1, 20)),
        ({"fraction": Fraction(numerator=2, denominator=3)}, (2, 3)),
        ({"fraction": Fraction(numerator=0, denominator=3)}, None),
    ],
)
def test_mirrors_have_a_share(share: dict[str, Any], expected: tuple[int, int] | None) -> None:
    ref = BackendObjectReference(name="m", port=80)
    mirror = HTTPFilter(type="RequestMirror", request_mirror=HTTPRequestMirrorFilter(backend_ref=ref, **share))
    compiled = () if expected is None else (Mirror(backend="a/m:80", numerator=expected[0], denominator=expected[1]),)
    assert filters_of((mirror,), {0: "a/m:80"}) == compiled
    assert filters_of((mirror,), {1: "a/m:80"}) == (), "a mirror with a refused backend is left out"
