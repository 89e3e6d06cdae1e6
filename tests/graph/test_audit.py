"""Which changes of grants are reported besides the grant itself, and in which words."""

import msgspec
import pytest
from graph.world import gateway, https, listener_set, make, ref, removed, replaced, route, world

from fastroute.graph.audit import grant_changes
from fastroute.graph.build import build_graph
from fastroute.resources.core import Service
from fastroute.resources.meta import Key
from fastroute.resources.policy import ReferenceGrant
from fastroute.settings import GraphSettings

SETTINGS = GraphSettings()


def grant(name="allow", to_name=None, **from_):
    origin = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "infra", **from_}
    target = {"group": "", "kind": "Service", **({"name": to_name} if to_name else {})}
    return make(ReferenceGrant, "bananas", name, {"from": [origin], "to": [target]})


def echo(name="echo"):
    return make(Service, "bananas", name, {"ports": [{"port": 80}]})


REFUSED = world(gateway(), route("fruits", "infra", ref("echo", "bananas")), echo())
GRANTED = replaced(REFUSED, grant())


def changes(before, after):
    graph = build_graph(before, SETTINGS)
    return grant_changes(graph, build_graph(after, SETTINGS, graph))


def told(before, after):
    permissions = [one for change in changes(before, after) for one in change.permissions]
    return [(each.grant.metadata.name, str(each.referrer), each.is_given) for each in permissions]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (REFUSED, GRANTED, [("allow", "infra/fruits", True)]),
        (GRANTED, REFUSED, [("allow", "infra/fruits", False)]),
        (GRANTED, replaced(REFUSED, grant(to_name="other")), [("allow", "infra/fruits", False)]),
        (GRANTED, GRANTED, []),
        (REFUSED, replaced(REFUSED, grant(kind="GRPCRoute")), []),
        (GRANTED, replaced(GRANTED, grant("more")), []),  # it was permitted before
        (replaced(GRANTED, grant("more")), GRANTED, []),  # it is still permitted
        (GRANTED, replaced(REFUSED, grant("other")), []),
    ],
)
def test_what_grants_turned(before, after, expected):
    assert told(before, after) == expected


@pytest.mark.parametrize(
    ("referrer", "kind"), [("infra/gw", "Gateway"), ("infra/more", "ListenerSet")], ids=["Gateway", "ListenerSet"]
)
def test_references_to_certificates_are_told_too(referrer, kind):
    secure = https("secure", "bananas/tls", hostname="a.test")
    plain = gateway(spec={"allowedListeners": {"namespaces": {"from": "All"}}})
    parents = {
        "Gateway": [gateway("gw", "infra", secure)],
        "ListenerSet": [plain, listener_set("more", "infra", secure)],
    }
    refused = world(*parents[kind])
    opened = {"group": "gateway.networking.k8s.io", "kind": kind, "namespace": "infra"}
    granted = make(ReferenceGrant, "bananas", "allow", {"from": [opened], "to": [{"group": "", "kind": "Secret"}]})
    assert told(refused, replaced(refused, granted)) == [("allow", referrer, True)]
    assert told(replaced(refused, granted), refused) == [("allow", referrer, False)]


def test_a_grant_that_was_there_when_its_namespace_was_first_read_is_no_change():
    key = Key("bananas", "allow")
    found = msgspec.structs.replace(GRANTED, found_grants=frozenset([key]))
    assert changes(REFUSED, found) == []
    [change] = changes(found, REFUSED)
    assert change.note.startswith("It was deleted.")


def test_a_reference_that_its_route_dropped_is_no_news_of_the_grant():
    rewritten = replaced(REFUSED, route("fruits", "infra", meta={"generation": 2}))
    assert told(REFUSED, rewritten) == []
    assert told(GRANTED, removed(rewritten, ReferenceGrant, Key("bananas", "allow"))) == []


def test_the_words_are_the_same_whether_the_target_exists_or_not():
    def note(resources):
        [change] = changes(resources, replaced(resources, grant()))
        [permission] = change.permissions
        return permission.note, permission.news, change.note

    assert note(REFUSED) == note(removed(REFUSED, Service, Key("bananas", "echo")))
    assert note(REFUSED) == (
        "HTTPRoute infra/fruits: its reference to Service bananas/echo is permitted now (from kind HTTPRoute, "
        'namespace infra to group "", kind Service, name echo).',
        "Its reference to Service bananas/echo is permitted now, by ReferenceGrant bananas/allow.",
        "It was created. Permitted now: HTTPRoute infra/fruits to Service bananas/echo.",
    )


NOTHING = "No reference of a known object is affected."
TWO = replaced(REFUSED, route("more", "infra", ref("echo", "bananas"), ref("other", "bananas")))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (REFUSED, REFUSED, []),
        (GRANTED, replaced(GRANTED, grant()), []),  # another object with the same content
        (REFUSED, replaced(REFUSED, grant(kind="GRPCRoute")), [("allow", f"It was created. {NOTHING}", False)]),
        (GRANTED, replaced(GRANTED, grant("more")), [("more", f"It was created. {NOTHING}", False)]),
        (replaced(GRANTED, grant("more")), GRANTED, [("more", f"It was deleted. {NOTHING}", False)]),
        (
            GRANTED,
            REFUSED,
            [("allow", "It was deleted. Refused now: HTTPRoute infra/fruits to Service bananas/echo.", True)],
        ),
        (
            replaced(TWO, grant(to_name="other")),
            replaced(TWO, grant(to_name="echo")),
            [
                (
                    "allow",
                    "It was changed. Permitted now: HTTPRoute infra/fruits to Service bananas/echo, "
                    "HTTPRoute infra/more to Service bananas/echo. "
                    "Refused now: HTTPRoute infra/more to Service bananas/other.",
                    True,
                )
            ],
        ),
        (
            REFUSED,
            replaced(replaced(REFUSED, grant("one", to_name="echo")), grant("two", to_name="other")),
            [
                ("one", "It was created. Permitted now: HTTPRoute infra/fruits to Service bananas/echo.", False),
                ("two", f"It was created. {NOTHING}", False),
            ],
        ),
    ],
    ids=["none", "equal", "other-kind", "one-more", "one-less", "deleted", "changed", "two"],
)
def test_each_grant_that_changed_says_what_it_permits_and_refuses(before, after, expected):
    found = [(change.grant.metadata.name, change.note, change.refuses) for change in changes(before, after)]
    assert found == expected


def test_a_route_is_told_which_grant_no_longer_permits_it():
    [change] = changes(GRANTED, REFUSED)
    [permission] = change.permissions
    assert permission.source.key == Key("infra", "fruits")
    assert permission.news == (
        "Its reference to Service bananas/echo is refused now: ReferenceGrant bananas/allow no longer permits it."
    )


def test_a_text_of_many_references_is_short():
    routes = [route(f"r{number}", "infra", ref("echo", "bananas")) for number in range(100)]
    [change] = changes(world(gateway(), *routes, echo()), world(gateway(), *routes, echo(), grant()))
    assert len(change.permissions) == 100
    assert "and 84 more" in change.note
