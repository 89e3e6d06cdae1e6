"""One file: which documents are decoded again, and which objects stay valid while it is broken."""

from hypothesis import given
from hypothesis import strategies as st
from resources.manifests import GATEWAY, HTTP_ROUTE, SERVICE

from fastroute.resources.meta import Key
from fastroute.source import manifest
from fastroute.source.manifest import Manifest

ROUTE = ("HTTPRoute", Key("infra", "fruits"))
EDGE = ("Gateway", Key("infra", "edge"))
APPLES = ("Service", Key("apples", "apples"))
BROKEN = HTTP_ROUTE.replace("8080", "0")


def read(*documents: str, previous: Manifest | None = None, name: str = "x.yaml") -> Manifest:
    return manifest.read(name, "---\n".join(documents).encode(), previous)


def only(seen: Manifest, name):
    [resource] = seen.definitions[name]
    return resource


def test_documents_whose_text_is_unchanged_keep_their_objects():
    old = read(GATEWAY, HTTP_ROUTE, SERVICE)
    new = read(SERVICE, GATEWAY, "# words\n" + HTTP_ROUTE, previous=old)
    assert only(new, EDGE) is not only(old, EDGE)  # preceded by `---` now: its text changed
    new = read(GATEWAY, "# words\n", HTTP_ROUTE.replace("8080", "8081"), SERVICE, previous=old)
    assert only(new, EDGE) is only(old, EDGE)
    assert only(new, APPLES) is only(old, APPLES)
    assert only(new, ROUTE) is not only(old, ROUTE)


def test_lines_are_those_of_the_file():
    seen = read("# one\n# two\n", GATEWAY, HTTP_ROUTE)
    assert [only(seen, name).origin.line for name in (EDGE, ROUTE)] == [3, 15]
    moved = read("# one\n", GATEWAY, BROKEN, SERVICE)
    assert [problem.line for problem in moved.problems] == [28]
    more = read("# one\n# two\n", GATEWAY, BROKEN, SERVICE, previous=moved)
    assert [problem.line for problem in more.problems] == [29]


def test_a_broken_object_keeps_its_last_good_version():
    old = read(HTTP_ROUTE, GATEWAY)
    new = read(BROKEN, GATEWAY, previous=old)
    assert only(new, ROUTE) is only(old, ROUTE)
    assert len(new.problems) == 1
    again = read(BROKEN.replace("port: 0", "port: -1"), GATEWAY, previous=new)
    assert only(again, ROUTE) is only(old, ROUTE)
    mended = read(HTTP_ROUTE, GATEWAY, previous=again)
    assert only(mended, ROUTE) == only(old, ROUTE)
    assert mended.problems == ()


def test_an_object_that_was_never_whole_is_only_known():
    assert only(read(BROKEN), ROUTE) is None


def test_an_object_gone_from_a_file_that_parses_is_gone():
    old = read(HTTP_ROUTE, GATEWAY)
    assert set(read(GATEWAY, previous=old).definitions) == {EDGE}
    assert read("", previous=old).definitions == {}


def test_while_a_document_cannot_be_told_nothing_is_gone():
    old = read(HTTP_ROUTE, GATEWAY, SERVICE)
    for torn in ("kind: [\n", HTTP_ROUTE.replace("name: fruits", "name: 5"), "apiVersion: v1\n"):
        new = read(torn, GATEWAY.replace("80", "81"), previous=old)
        assert set(new.definitions) == {ROUTE, EDGE, APPLES}
        assert only(new, ROUTE) is only(old, ROUTE)
        assert only(new, EDGE).spec.listeners[0].port == 81
        assert only(new, APPLES) is only(old, APPLES)
        assert len(new.problems) == 1
        assert set(read(GATEWAY, previous=new).definitions) == {EDGE}


def test_a_file_that_is_not_text_keeps_everything():
    old = read(HTTP_ROUTE)
    new = manifest.read("x.yaml", b"a: 1\nb: \xff\n", old)
    assert new.definitions is old.definitions
    assert [str(problem) for problem in new.problems] == ["x.yaml:2: is not UTF-8 text"]
    assert only(manifest.read("x.yaml", HTTP_ROUTE.encode(), new), ROUTE) == only(old, ROUTE)


def test_the_same_object_twice_in_a_file_is_known_with_both_lines():
    seen = read(HTTP_ROUTE, HTTP_ROUTE)
    assert len(seen.definitions[ROUTE]) == 2
    assert seen.lines()[ROUTE] == [1, 15]


def test_other_ends_of_line_and_marks_of_order():
    windows = manifest.read(
        "x.yaml", b"\xef\xbb\xbf" + (GATEWAY + "---\n" + HTTP_ROUTE).replace("\n", "\r\n").encode(), None
    )
    assert set(windows.definitions) == {EDGE, ROUTE}
    assert only(windows, ROUTE).spec == only(read(HTTP_ROUTE), ROUTE).spec


def test_json_is_one_document():
    text = '{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "annotations": {"x": "\\n---\\n"}}}'
    assert set(read(text, name="x.json").definitions) == {("Service", Key("default", "a"))}


documents = st.sampled_from(
    [GATEWAY, HTTP_ROUTE, SERVICE, BROKEN, "kind: [\n", "# words\n", SERVICE.replace("8080", "1")]
)


@given(st.lists(st.lists(documents, max_size=5), min_size=1, max_size=5))
def test_increments_say_what_a_first_reading_says(versions):
    """With any previous content, problems, warnings, and all complete objects equal those of a first reading."""
    seen = None
    for version in versions:
        seen = read(*version, previous=seen)
        fresh = read(*version)
        assert seen.problems == fresh.problems
        for name, definitions in fresh.definitions.items():
            kept = seen.definitions[name]
            assert seen.lines()[name] == fresh.lines()[name]
            for one, other in zip(kept, definitions, strict=True):
                assert other is None or one.spec == other.spec
        if not fresh.problems:
            assert set(seen.definitions) == set(fresh.definitions)


def test_an_object_that_is_skipped_with_a_warning_keeps_nothing_that_is_gone():
    typo = GATEWAY.replace("kind: Gateway", "kind: Gatway")
    old = read(HTTP_ROUTE, typo)
    assert [warning.reason for warning in old.warnings] == ["UnknownKind"]
    assert set(read(typo, previous=old).definitions) == set()


def test_documents_with_the_same_fault_are_decoded_once(monkeypatch):
    decoded = []
    original = manifest.decode

    def decode(*args, **options):
        decoded.append(args)
        return original(*args, **options)

    monkeypatch.setattr(manifest, "decode", decode)
    old = read(*["- 1\n"] * 200)
    assert len(decoded) == 200
    new = read(*["- 1\n"] * 200, "# words\n", previous=old)
    assert len(decoded) == 201
    assert new.problems == old.problems


def test_the_problems_of_a_file_are_limited():
    seen = read(*["- 1\n"] * 1234)
    assert len(seen.problems) == manifest.MOST_PROBLEMS + 1
    assert str(seen.problems[-1]) == "x.yaml: has 1,134 more problems, which are not shown"


def test_repeated_definitions_are_collected_in_one_pass():
    """Each adds one entry; a tuple that is copied for each of them would take minutes."""
    first = read(SERVICE, BROKEN)
    many = [first.documents[0]] * 300_000 + [first.documents[1]]
    pauses = []
    found = manifest._definitions(many, {}, lambda: pauses.append(1))
    assert len(found[APPLES]) == 300_000
    assert len(pauses) >= len(many)
