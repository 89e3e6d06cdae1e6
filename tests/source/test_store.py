"""From Events to Resources; unchanged objects keep their identity."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fastroute.resources.core import Namespace, Service
from fastroute.resources.meta import Key, Metadata, Origin
from fastroute.source.store import FIELDS, Apply, Delete, Init, InitApply, InitDone, Store


def service(name: str, generation: int = 1) -> Service:
    return Service(metadata=Metadata(name=name, namespace="n", generation=generation))


def test_what_was_not_listed_is_gone():
    store = Store()
    store.apply([Apply(service("a")), Apply(service("b"))])
    store.apply([Init(Service), InitApply(service("b"))])
    assert list(store.snapshot().services) == [Key("n", "a"), Key("n", "b")]
    assert store.apply([InitDone(Service)])
    assert list(store.snapshot().services) == [Key("n", "b")]


def test_a_list_of_one_kind_leaves_the_others():
    store = Store()
    store.apply([Apply(service("a")), Apply(Namespace(metadata=Metadata(name="n")))])
    store.apply([Init(Service), InitDone(Service)])
    assert list(store.snapshot().namespaces) == [Key("", "n")]


def test_what_is_applied_while_a_list_comes_in_stays_only_if_listed():
    store = Store()
    store.apply([Init(Service), Apply(service("a")), InitApply(service("b")), InitDone(Service)])
    assert list(store.snapshot().services) == [Key("n", "b")]


def test_unchanged_is_the_very_same():
    store = Store()
    store.apply([Apply(service("a")), Apply(service("b")), Apply(Namespace(metadata=Metadata(name="n")))])
    before = store.snapshot()
    assert store.snapshot() is before
    assert not store.apply([Apply(service("a")), Delete(Service, Key("n", "z"))])
    assert store.snapshot() is before
    assert store.apply([Apply(service("a", 2))])
    after = store.snapshot()
    assert after.namespaces is before.namespaces
    assert after.services[Key("n", "b")] is before.services[Key("n", "b")]
    assert after.services[Key("n", "a")].metadata.generation == 2
    assert before.services[Key("n", "a")].metadata.generation == 1


def test_an_object_that_only_moved_within_its_file_is_the_very_same():
    store = Store()
    store.apply([Apply(placed("a.yaml", 1))])
    before = store.snapshot()
    assert not store.apply([Apply(placed("a.yaml", 7))])
    assert store.snapshot() is before
    assert store.apply([Apply(placed("b.yaml", 7))])
    assert store.snapshot().services[Key("n", "a")].origin == Origin("b.yaml", 7)


def placed(file: str, line: int) -> Service:
    return msgspec.structs.replace(service("a"), origin=Origin(file, line))


def test_an_event_may_have_a_time_of_its_own():
    """It arrived before those that it is processed with."""
    store = Store()
    store.apply(
        [Apply(service("a"), 1.0), Apply(Namespace(metadata=Metadata(name="x"))), Delete(Service, Key("n", "a"), 2.0)],
        5.0,
    )
    assert store.portion(50, 0.0).since == {"n": 1.0, "x": 5.0}


def test_reports_replace_each_other():
    store = Store()
    assert not store.report([])
    assert store.problems == ()


names = st.sampled_from("abcd")
events = st.one_of(
    st.builds(lambda name, generation: Apply(service(name, generation)), names, st.integers(1, 3)),
    st.builds(lambda name: Delete(Service, Key("n", name)), names),
    st.just(Init(Service)),
    st.builds(lambda name, generation: InitApply(service(name, generation)), names, st.integers(1, 3)),
    st.just(InitDone(Service)),
)


@given(st.lists(st.lists(events, max_size=4), max_size=8))
def test_a_snapshot_is_what_a_plain_dictionary_would_hold(batches):
    store = Store()
    plain: dict[Key, Service] = {}
    listed: set[Key] = set()
    for batch in batches:
        before = dict(plain)
        for event in batch:
            match event:
                case Apply(resource):
                    plain[resource.key] = resource
                case Delete(_, key):
                    plain.pop(key, None)
                case Init():
                    listed = set()
                case InitApply(resource):
                    plain[resource.key] = resource
                    listed.add(resource.key)
                case InitDone():
                    plain = {key: value for key, value in plain.items() if key in listed}
                    listed = set()
        old = store.snapshot()
        changed = store.apply(batch)
        new = store.snapshot()
        assert dict(new.services) == plain
        assert changed or plain == before
        assert changed or new is old
        assert {name: getattr(new, name) for name in FIELDS.values() if name != "services"} == {
            name: {} for name in FIELDS.values() if name != "services"
        }


def test_a_new_service_does_not_move_the_others():
    """To sort thousands of them for each portion would delay everything else."""
    store = Store()
    store.apply([Apply(service("b")), Apply(service("c"))])
    assert list(store.snapshot().services) == [Key("n", "b"), Key("n", "c")]
    store.apply([Apply(service("a"))])
    assert list(store.snapshot().services) == [Key("n", "b"), Key("n", "c"), Key("n", "a")]


def test_kinds_with_few_objects_are_sorted():
    store = Store()
    for name in "cab":
        store.apply([Apply(Namespace(metadata=Metadata(name=name)))])
        store.snapshot()
    assert list(store.snapshot().namespaces) == [Key("", "a"), Key("", "b"), Key("", "c")]
