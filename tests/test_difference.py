"""Mappings that record what changed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.difference import changed_keys, replaced

number = st.sampled_from((0, 1))


@given(old=st.dictionaries(st.integers(0, 60), number), new=st.dictionaries(st.integers(0, 60), number))
@settings(max_examples=100, deadline=None)
def test_changed_keys_and_replaced_are_inverse(old: dict[int, int], new: dict[int, int]) -> None:
    before = {key: [old[key]] for key in sorted(old)}
    after = {key: before[key] if old.get(key) == value else [value] for key, value in sorted(new.items())}
    keys = changed_keys(before, after)
    assert keys == {key for key in before.keys() | after.keys() if before.get(key) is not after.get(key)}
    merged = replaced(before, {key: after.get(key) for key in keys}, in_order=True)
    assert list(merged.items()) == list(after.items())
    assert changed_keys(before, merged) == keys


@given(
    first=st.dictionaries(st.integers(0, 9), number, min_size=1),
    edits=st.lists(st.dictionaries(st.integers(0, 9), st.none() | number), min_size=1, max_size=8),
)
@settings(max_examples=100, deadline=None)
def test_a_revision_knows_what_it_changed(first: dict[int, int], edits: list[dict[int, int | None]]) -> None:
    mapping = replaced({}, {key: [value] for key, value in first.items()})
    every = [mapping]
    for edit in edits:
        mapping = replaced(mapping, {key: None if value is None else [value] for key, value in edit.items()})
        every.append(mapping)
    for old in every:
        for new in every:
            wanted = {key for key in {*old, *new} if old.get(key) is not new.get(key)}
            assert changed_keys(old, new) == wanted


def test_a_revision_never_changes() -> None:
    revision = replaced({}, {1: "a"})
    for change in (
        lambda: revision.update({2: "b"}),
        lambda: revision.pop(1),
        lambda: revision.__setitem__(1, "b"),
        lambda: revision.setdefault(2, "b"),
        lambda: revision.clear(),
    ):
        with pytest.raises(TypeError, match="immutable"):
            change()
    assert revision == {1: "a"}
