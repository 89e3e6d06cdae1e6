"""Filters for the compiled data plane, drawn by hypothesis; and how fields are compared."""

from collections.abc import Sequence

from hypothesis import strategies as st

from fastroute.snapshot import Cors, HeaderModifier, HeaderValue, Redirect, Rewrite

Fields = Sequence[tuple[str, str]]
NAMES = ("X-A", "x-b", "X-C")


def values(*pairs: tuple[str, str]) -> tuple[HeaderValue, ...]:
    return tuple(HeaderValue(name, value) for name, value in pairs)


def joined(given: Fields) -> dict[str, str]:
    """What a recipient may make of the fields (RFC 9110 section 5.3)."""
    found: dict[str, str] = {}
    for name, value in given:
        found[name.lower()] = f"{found[name.lower()]},{value}" if name.lower() in found else value
    return found


words = st.sampled_from(("1", "2", "a b", "x,y"))
fields = st.lists(st.tuples(st.sampled_from(("x-a", "X-A", "X-b", "x-c", "Accept")), words), max_size=5)
paths = st.sampled_from(("/", "/foo", "/foo/", "/foo/bar", "/foo//bar", "/foo/bar/baz;v=1"))
hosts = st.sampled_from(("a.com", "b.example.com"))
replacements = st.sampled_from(("", "/xyz", "/x/y"))


@st.composite
def modifiers(draw: st.DrawFn, direction: str) -> HeaderModifier:
    """Every name has one action at most, as the schema demands."""
    actions = {name: draw(st.sampled_from(("set", "add", "remove", "none"))) for name in NAMES}
    return HeaderModifier(
        direction=direction,
        set=values(*((name, draw(words)) for name, action in actions.items() if action == "set")),
        add=values(*((name, draw(words)) for name, action in actions.items() if action == "add")),
        remove=tuple(name for name, action in actions.items() if action == "remove"),
    )


@st.composite
def path_changes(draw: st.DrawFn) -> dict[str, str]:
    kind = draw(st.sampled_from(("none", "full_path", "prefix")))
    if kind == "none":
        return {}
    return {kind: draw(st.sampled_from(("/", "/new", "/new/path/"))) if kind == "full_path" else draw(replacements)}


rewrites = st.builds(lambda path, host: Rewrite(hostname=host, **path), path_changes(), st.none() | hosts)
redirects = st.builds(
    lambda path, host, status, scheme, port: Redirect(status=status, scheme=scheme, port=port, hostname=host, **path),
    path_changes(),
    st.none() | hosts,
    st.sampled_from((301, 302, 303, 307, 308)),
    st.sampled_from((None, "http", "https")),
    st.sampled_from((None, 80, 443, 8080)),
)

origins = st.sampled_from(
    (
        "https://www.foo.com",
        "https://www.bar.com",
        "https://a.b.bar.com",
        "https://bar.com",
        "https://www.bar.com:8443",
        "http://www.bar.com",
        "HTTPS://WWW.FOO.COM",
        "https://www.foo.com.evil.org",
        "https://evil.org/.bar.com",
        "null",
        "",
    )
)
_patterns = st.sampled_from(
    (
        "https://www.foo.com",
        "https://*.bar.com",
        "http://*",
        "https://*:8443",
        "https://*.bar.com:8443",
        "https://bar.com",
    )
)
_lists = st.lists(st.sampled_from(("GET", "X-A", "x-b")), max_size=2, unique=True).map(tuple) | st.just(("*",))
cors_filters = st.builds(
    Cors,
    origins=st.lists(_patterns, max_size=3, unique=True).map(tuple) | st.just(("*",)),
    credentials=st.booleans(),
    methods=_lists,
    headers=_lists,
    expose=_lists,
    max_age=st.sampled_from((1, 5, 3600)),
)
