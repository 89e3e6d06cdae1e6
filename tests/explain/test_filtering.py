"""The effects of filters, with the cases of the specification."""

import pytest

from fastroute.explain.filtering import Redirected, filter_request, filter_response, location
from fastroute.explain.request import Request
from fastroute.snapshot import HeaderModifier, HeaderValue, Redirect, Rewrite


def request(path: str = "/foo/bar", query: str | None = None, authority: str = "shop.example:8080") -> Request:
    return Request(
        method="GET",
        scheme="http",
        authority=authority,
        path=path,
        query=query,
        headers=(("Host", authority), ("X-A", "1"), ("x-a", "2"), ("X-B", "3")),
    )


@pytest.mark.parametrize(
    ("path", "prefix", "replacement", "result"),
    [
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo", "/foo", "", "/"),
        ("/foo/", "/foo", "", "/"),
        ("/bar", "", "/xyz", "/xyz/bar"),
        ("/", "", "/xyz", "/xyz/"),
        ("/foo//bar", "/foo", "", "/bar"),
        ("/foo//bar", "/foo", "/xyz", "/xyz//bar"),
    ],
)
def test_replace_prefix_match(path: str, prefix: str, replacement: str, result: str) -> None:
    after = filter_request((Rewrite(prefix=replacement),), request(path, "q=1"), len(prefix), 80)
    assert isinstance(after, Request)
    assert (after.path, after.query) == (result, "q=1")
    where = location(Redirect(status=302, prefix=replacement), request(path, "q=1"), len(prefix), 80)
    assert where == f"http://shop.example{result}?q=1"


@pytest.mark.parametrize(
    ("redirect", "port", "expected"),
    [
        (Redirect(status=302), 80, "http://shop.example/foo/bar"),
        (Redirect(status=302), 8080, "http://shop.example:8080/foo/bar"),
        (Redirect(status=302, hostname="example.org"), 8080, "http://example.org:8080/foo/bar"),
        (Redirect(status=302, scheme="https"), 8080, "https://shop.example/foo/bar"),
        (Redirect(status=302, scheme="http"), 8080, "http://shop.example/foo/bar"),
        (Redirect(status=302, scheme="https", port=8443), 80, "https://shop.example:8443/foo/bar"),
        (Redirect(status=302, scheme="https", port=443), 80, "https://shop.example/foo/bar"),
        (Redirect(status=302, scheme="https", port=80), 80, "https://shop.example:80/foo/bar"),
        (Redirect(status=302, port=80), 8080, "http://shop.example/foo/bar"),
        (Redirect(status=302, port=443), 80, "http://shop.example:443/foo/bar"),
        (Redirect(status=302, full_path="/new"), 80, "http://shop.example/new"),
        (Redirect(status=302, prefix="/new"), 80, "http://shop.example/new/bar"),
    ],
)
def test_where_a_redirect_leads(redirect: Redirect, port: int, expected: str) -> None:
    after = filter_request((redirect,), request(), len("/foo"), port)
    assert after == Redirected(302, expected)


def test_an_ipv6_host_keeps_its_brackets() -> None:
    assert location(Redirect(status=301), request(authority="[::1]:9"), 0, 9) == "http://[::1]:9/foo/bar"


def test_header_modifiers_set_add_and_remove() -> None:
    modifier = HeaderModifier(
        direction="request",
        set=(HeaderValue("x-b", "new"), HeaderValue("X-C", "4")),
        add=(HeaderValue("X-D", "5"), HeaderValue("x-a", "more")),
    )
    after = filter_request((modifier, HeaderModifier(direction="request", remove=("X-C",))), request(), 0, 80)
    assert isinstance(after, Request)
    assert after.headers == (
        ("Host", "shop.example:8080"),
        ("X-A", "1"),
        ("x-a", "2,more"),
        ("X-B", "new"),
        ("X-D", "5"),
    )


def test_filters_run_in_the_order_written() -> None:
    steps = (
        HeaderModifier(direction="request", set=(HeaderValue("X-B", "1"),)),
        Rewrite(hostname="inner", full_path="/all"),
        HeaderModifier(direction="request", add=(HeaderValue("X-B", "2"),)),
        Redirect(status=301),
        HeaderModifier(direction="request", set=(HeaderValue("X-B", "never"),)),
    )
    after = filter_request(steps[:3], request(query=""), 0, 80)
    assert isinstance(after, Request)
    assert (after.authority, after.path, after.query, after.header("host")) == ("inner", "/all", "", "inner")
    assert after.header("x-b") == "1,2"
    assert filter_request(steps, request(query=""), 0, 80) == Redirected(301, "http://inner/all?")


def test_host_can_be_set_and_nothing_else() -> None:
    modifier = HeaderModifier(
        direction="request", set=(HeaderValue("host", "inner:81"),), add=(HeaderValue("Host", "no"),), remove=("HOST",)
    )
    after = filter_request((modifier,), request(), 0, 80)
    assert isinstance(after, Request)
    assert (after.authority, after.header("Host")) == ("inner:81", "inner:81")


def test_each_direction_has_its_own_modifiers() -> None:
    steps = (
        HeaderModifier(direction="response", set=(HeaderValue("Server", "x"),)),
        HeaderModifier(direction="request", remove=("Via",)),
    )
    assert filter_response(steps, (("server", "y"), ("Via", "1.1 a"))) == (("server", "x"), ("Via", "1.1 a"))
    assert filter_request(steps[:1], request(), 0, 80) == request()
