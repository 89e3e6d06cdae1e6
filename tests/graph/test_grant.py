"""ReferenceGrants: what they permit, and why a reference is refused."""

from typing import Any

import msgspec
import pytest
from graph.world import grant, make, world
from hypothesis import given
from hypothesis import strategies as st

from fastroute.graph import grant as grant_module
from fastroute.graph.grant import Grants, Reference, UnreadGrants, index_grants, permitted, refusal_cause
from fastroute.resources.gateway import GROUP
from fastroute.resources.meta import Key
from fastroute.resources.policy import ReferenceGrant

REFERENCE = Reference(
    kind="HTTPRoute", namespace="infra", to_group="", to_kind="Service", to_namespace="red", to_name="echo"
)


def grants(*objects: ReferenceGrant) -> Grants:
    return index_grants(world(*objects).reference_grants)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ([], False),
        ([grant("g", "red", "infra", "echo")], True),
        ([grant("g", "red", "infra")], True),
        ([grant("g", "red", "infra", "other")], False),
        ([grant("g", "red", "infra", "other"), grant("h", "red", "infra", "echo")], True),
        ([grant("g", "red", "blue", "echo"), grant("h", "red", "infra", "other")], False),  # not combined
        ([grant("g", "infra", "infra", "echo")], False),
        ([grant("g", "red", "infra", "echo", from_kind="GRPCRoute")], False),
        ([grant("g", "red", "infra", "echo", to_kind="Secret")], False),
        ([grant("g", "red", "infra", "echo", to_group="core")], False),
        ([grant("g", "red", "infra", "echo", origin={"group": ""})], False),
        ([grant("g", "red", "*", "echo")], False),
    ],
)
def test_permitted(given_: list[ReferenceGrant], expected: bool) -> None:
    assert permitted(REFERENCE, grants(*given_)) is expected


def test_nothing_is_needed_in_one_namespace() -> None:
    assert permitted(msgspec.structs.replace(REFERENCE, to_namespace="infra"), {})


def test_grants_that_cannot_be_read_permit_nothing_and_say_why() -> None:
    unread = UnreadGrants("the CRD referencegrants.gateway.networking.k8s.io is not installed")
    assert not permitted(REFERENCE, unread)
    assert refusal_cause(REFERENCE, unread) == (
        "no ReferenceGrant can be read: the CRD referencegrants.gateway.networking.k8s.io is not installed"
    )


@pytest.mark.parametrize(
    ("given_", "cause"),
    [
        ([], "no ReferenceGrant in namespace red"),
        (
            [grant("g", "infra", "infra", "echo")],
            "no ReferenceGrant in namespace red: infra/g would allow it, but is in the wrong namespace: a grant "
            "must be in the namespace of its target",
        ),
        ([grant("g", "infra", "infra", "other")], "no ReferenceGrant in namespace red"),
        (
            [grant("g", "red", "blue", "echo")],
            "`from` mismatch: ReferenceGrant red/g does not allow this referrer "
            '(from.namespace is "blue", not "infra")',
        ),
        (
            [grant("g", "red", "blue", from_kind="GRPCRoute"), grant("h", "red", "infra", from_kind="GRPCRoute")],
            "`from` mismatch: none of the 2 ReferenceGrants there allows this referrer "
            '(from.kind is "GRPCRoute", not "HTTPRoute")',
        ),
        (
            [grant("g", "red", "infra", "other")],
            '`to` mismatch: ReferenceGrant red/g allows this referrer, but to.name is not "echo"',
        ),
        (
            [grant("g", "red", "infra", "echo", to_group="core")],
            '`to` mismatch: ReferenceGrant red/g allows this referrer, but to.group is "core", not ""',
        ),
    ],
)
def test_refusal_cause(given_: list[ReferenceGrant], cause: str) -> None:
    assert refusal_cause(REFERENCE, grants(*given_)) == cause


froms = st.fixed_dictionaries(
    {
        "group": st.sampled_from((GROUP, "")),
        "kind": st.sampled_from(("HTTPRoute", "GRPCRoute")),
        "namespace": st.sampled_from(("infra", "red")),
    }
)
tos = st.fixed_dictionaries(
    {
        "group": st.sampled_from(("", "core")),
        "kind": st.sampled_from(("Service", "Secret")),
        "name": st.sampled_from((None, "echo", "other")),
    }
)
some_grants = st.lists(
    st.tuples(
        st.sampled_from(("red", "blue")),
        st.lists(froms, min_size=1, max_size=2),
        st.lists(tos, min_size=1, max_size=2),
    ),
    max_size=4,
)


@given(written=some_grants)
def test_permitted_says_what_the_words_of_the_spec_say(written: list[Any]) -> None:
    objects = [
        make(ReferenceGrant, home, f"g{i}", {"from": origins, "to": targets})
        for i, (home, origins, targets) in enumerate(written)
    ]
    expected = any(
        home == "red"
        and {"group": GROUP, "kind": "HTTPRoute", "namespace": "infra"} in origins
        and any(
            (target["group"], target["kind"]) == ("", "Service") and target["name"] in (None, "echo")
            for target in targets
        )
        for home, origins, targets in written
    )
    assert permitted(REFERENCE, grants(*objects)) is expected


def test_only_touched_namespaces_are_indexed_anew() -> None:
    before = world(grant("g", "red", "infra"), grant("g", "blue", "infra")).reference_grants
    index = index_grants(before)
    after = {key: value for key, value in before.items() if key.namespace == "blue"}
    again = index_grants(after, [Key("red", "g")], index)
    assert {name: space.grants for name, space in again.items()} == {"blue": index["blue"].grants}
    assert again["blue"] is index["blue"]


def test_the_cause_of_a_refusal_needs_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """With thousands of grants in the namespaces of the target and of the referrer, that do not match."""
    compared = []

    def mismatch(*pair: object) -> list[str]:
        compared.append(pair)
        return ["it differs"]

    monkeypatch.setattr(grant_module, "_from_mismatch", mismatch)
    monkeypatch.setattr(grant_module, "_to_mismatch", mismatch)
    there = [grant(f"g{number}", "red", f"n{number}", "other") for number in range(3000)]
    own = [grant(f"g{number}", "infra", "infra", f"other{number}") for number in range(3000)]
    refusal_cause(REFERENCE, grants(*there, *own))
    refusal_cause(REFERENCE, grants(*own))
    refusal_cause(REFERENCE, grants(*there, grant("z", "red", "infra", "other")))
    assert len(compared) <= 25


def test_a_grant_in_the_wrong_namespace_is_found_among_many() -> None:
    own = [grant(f"g{number}", "infra", "infra", f"other{number}") for number in range(300)]
    cause = refusal_cause(REFERENCE, grants(*own, grant("z", "infra", "infra", "echo")))
    assert "infra/z would allow it" in cause
