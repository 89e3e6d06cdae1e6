"""The order in which changes are served: turns of the namespaces, dependencies, and debts of expensive changes."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.resources.core import EndpointPort, EndpointSlice, Namespace, Secret, Service, SliceEndpoint
from fastroute.resources.gateway import Gateway, GatewaySpec
from fastroute.resources.http_rule import HeaderMatch, HTTPBackendRef, HTTPMatch, HTTPRule
from fastroute.resources.httproute import HTTPRoute, HTTPRouteSpec
from fastroute.resources.l4_rule import L4Rule
from fastroute.resources.meta import Key, Metadata, Resource
from fastroute.resources.policy import ReferenceGrant, ReferenceGrantSpec
from fastroute.resources.tlsroute import TLSRoute, TLSRouteSpec
from fastroute.source.debts import EXPENSIVE, FACTOR, FREE, LONGEST, Charge
from fastroute.source.pending import LARGEST, QUANTUM, WHOLE, Changed, Pending, size
from fastroute.source.store import Apply, Delete, Store

BULK, VICTIM = "a-bulk", "z-victim"
RULE = HTTPRule(backend_refs=(HTTPBackendRef(name="s"),))


def route(space: str, name: str, rules: int = 1) -> HTTPRoute:
    spec = HTTPRouteSpec(rules=(RULE,) * rules)
    return HTTPRoute(metadata=Metadata(name=name, namespace=space), spec=spec)


def route_with_expressions(space: str, name: str, count: int) -> HTTPRoute:
    tests = tuple(HeaderMatch(name=f"h{number}", value="a+", type="RegularExpression") for number in range(count))
    rule = HTTPRule(matches=(HTTPMatch(headers=tests),), backend_refs=RULE.backend_refs)
    return HTTPRoute(metadata=Metadata(name=name, namespace=space), spec=HTTPRouteSpec(rules=(rule,)))


def gateway(space: str, generation: int = 1) -> Gateway:
    metadata = Metadata(name="g", namespace=space, generation=generation)
    return Gateway(metadata=metadata, spec=GatewaySpec(gateway_class_name="c", listeners=()))


def filled(count: int = 5_000) -> Store:
    """A Store in which one namespace has so many changed routes."""
    store = Store()
    store.apply([Apply(route(BULK, f"r{number}")) for number in range(count)])
    return store


def test_a_change_is_in_the_next_portion_whatever_another_namespace_changes() -> None:
    store = filled()
    taken = store.portion(50, 0.0).taken
    assert Counter(changed.space for changed in taken) == {BULK: 50 // QUANTUM * QUANTUM + QUANTUM}
    store.apply([Apply(route(VICTIM, "r"))], 7.0)
    portion = store.portion(50, 0.0)
    assert portion.since[VICTIM] == 7.0
    assert Key(VICTIM, "r") in portion.resources.http_routes
    assert len(portion.taken) == 1 + QUANTUM, "the rest of the others need not be waited for"


def test_few_changes_that_arrive_together_are_one_portion() -> None:
    """Of several namespaces and kinds, with removals; an intermediate state would be seen."""
    store = Store()
    for space in range(10):
        store.apply([Apply(route(f"n{space}", f"r{number}")) for number in range(10)])
    assert len(store.portion(50, 0.0).taken) == WHOLE
    store.apply([Delete(HTTPRoute, Key("n1", "r1")), *(Apply(route("n2", f"s{number}")) for number in range(WHOLE))])
    assert len(store.portion(50, 0.0).taken) < WHOLE


def test_large_objects_take_the_turns_of_their_own_namespace() -> None:
    store = Store()
    assert size(route(BULK, "big", rules=16)) > QUANTUM
    store.apply([Apply(route(BULK, f"r{number}", rules=16)) for number in range(100)])
    store.apply([Apply(route(VICTIM, f"r{number}")) for number in range(QUANTUM)])
    taken = store.portion(50, 0.0).taken
    assert Counter(changed.space for changed in taken)[VICTIM] == QUANTUM


def test_each_server_name_of_a_route_counts() -> None:
    """A listener has a table of the names of its TLSRoutes."""
    rule = L4Rule(backend_refs=RULE.backend_refs)
    names = tuple(f"{number}.test" for number in range(16))
    one, many = (
        TLSRoute(metadata=Metadata(name="r", namespace=BULK), spec=TLSRouteSpec(hostnames=some, rules=(rule,)))
        for some in (names[:1], names)
    )
    assert (size(one), size(many)) == (1, 5)


def test_routes_with_many_expressions_are_taken_one_at_a_time_and_without_those_of_others() -> None:
    """To compile 80 expressions takes 20 ms."""
    store = Store()
    assert size(route_with_expressions(BULK, "r", 128)) == LARGEST
    store.apply([Apply(route_with_expressions(BULK, f"r{number}", 80)) for number in range(10)])
    store.apply([Apply(route(VICTIM, "r"))])
    taken = [store.portion(50, 0.0).taken for _ in range(11)]
    assert [[changed.space for changed in one] for one in taken] == [[VICTIM], *([BULK] for _ in range(10))]


def test_a_slice_counts_its_endpoints_once_for_each_port() -> None:
    """1,000 endpoints with 100 ports are 100,000 endpoints of backends, which take 90 ms."""
    endpoints = tuple(SliceEndpoint(addresses=(f"10.0.0.{number}",)) for number in range(100))
    ports = tuple(EndpointPort(name=f"p{number}", port=80 + number) for number in range(10))
    slice_ = EndpointSlice(metadata=Metadata(name="e", namespace=BULK), endpoints=endpoints, ports=ports)
    assert size(slice_) == 1 + 1_000 // 50


def test_many_namespaces_are_served_in_rounds() -> None:
    store = Store()
    for space in range(40):
        store.apply([Apply(route(f"n{space}", f"r{number}")) for number in range(20)])
    seen: set[str] = set()
    for _ in range(6):
        seen |= {changed.space for changed in store.portion(64, 0.0).taken}
    assert len(seen) == 40


def test_dependencies_come_first_and_deletions_last() -> None:
    """More than WHOLE units, of one namespace."""
    space = "n"
    objects: list[Resource] = [
        *(route(space, f"r{number}") for number in range(3 * WHOLE)),
        Service(metadata=Metadata(name="s", namespace=space)),
        gateway(space),
        EndpointSlice(metadata=Metadata(name="e", namespace=space)),
        Namespace(metadata=Metadata(name=space)),
    ]
    grant = ReferenceGrant(metadata=Metadata(name="w", namespace=space), spec=ReferenceGrantSpec(from_=(), to=()))
    old = [route(space, "old"), Service(metadata=Metadata(name="old", namespace=space))]
    store = Store()
    store.apply([Apply(grant), *map(Apply, old)])
    store.snapshot()
    gone = [Delete(type(each), each.key) for each in (*old, grant)]
    store.apply([*gone[:2], *map(Apply, objects), gone[2]])
    first, *more = [store.portion(50, 0.0).taken for _ in range(4)]
    assert [changed.kind for changed in first][:5] == [ReferenceGrant, Namespace, EndpointSlice, Service, Gateway]
    assert not any(changed.key.name == "old" for taken in (first, *more) for changed in taken)
    last = first
    while store.next_portion(0.0) == 0.0:
        last = store.portion(50, 0.0).taken
    assert {changed.kind for changed in last if changed.key.name == "old"} == {HTTPRoute, Service}


def test_an_object_that_changes_again_keeps_its_place() -> None:
    store = filled(100)
    for number in range(20):
        store.apply([Apply(route(BULK, "r0", rules=1 + number % 2))], float(number))
        store.portion(QUANTUM, 0.0)
    assert store.next_portion(0.0) == float("inf")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.integers(0, 3)), max_size=60))
def test_all_portions_together_are_everything(changes: list[tuple[str, int, int]]) -> None:
    whole, parts = Store(), Store()
    for step, (space, number, rules) in enumerate(changes):
        key = Key(space, f"r{number}")
        event = Apply(route(*key, rules)) if rules else Delete(HTTPRoute, key)
        whole.apply([event])
        parts.apply([event])
        if step % 7 == 0:
            parts.portion(3, 0.0)
    while parts.next_portion(0.0) == 0.0:
        assert parts.portion(3, 0.0).taken
    assert parts.snapshot().http_routes == whole.snapshot().http_routes


# --- Debts


def changed(pending: Pending, *spaces: str) -> None:
    for space in spaces:
        pending.add(Changed(Gateway, Key(space, "g")), 0.0)


def spaces(pending: Pending, now: float) -> set[str]:
    return {changed.space for changed in pending.take(50, now)}


def took(seconds: float) -> Charge:
    return Charge(seconds, seconds)


def test_after_an_expensive_change_those_of_its_namespace_wait_and_others_do_not() -> None:
    pending = Pending(lambda changed: gateway(changed.space))
    changed(pending, BULK)
    pending.charge(pending.take(50, 0.0), took(0.3), 1.0)
    changed(pending, BULK, VICTIM)
    pending.add(Changed(HTTPRoute, Key(BULK, "r")), 0.0)
    assert {(one.space, one.kind) for one in pending.take(50, 1.0)} == {(VICTIM, Gateway), (BULK, HTTPRoute)}
    assert spaces(pending, 1.0) == set()
    assert pending.next_time(1.0) == 1.0 + FACTOR * 0.3
    assert spaces(pending, 1.1 + FACTOR * 0.3) == {BULK}


def test_no_pause_is_longer_than_a_limit_and_a_cheap_change_ends_the_debt() -> None:
    pending = Pending(lambda changed: gateway(changed.space))
    changed(pending, BULK)
    pending.charge(pending.take(50, 0.0), took(60.0), 0.0)
    changed(pending, BULK)
    assert pending.next_time(0.0) == LONGEST
    pending.charge(pending.take(50, LONGEST), took(EXPENSIVE / 2), LONGEST)
    changed(pending, BULK, VICTIM)
    assert spaces(pending, LONGEST) == {BULK, VICTIM}


def test_of_several_suspects_only_the_expensive_one_waits() -> None:
    pending = Pending(lambda changed: gateway(changed.space))
    changed(pending, BULK, VICTIM)
    pending.charge(pending.take(50, 0.0), took(0.3), 0.0)
    changed(pending, BULK, VICTIM, "other")
    alone = []
    while taken := pending.take(50, 0.0):
        (space,) = {changed.space for changed in taken}
        alone.append(space)
        pending.charge(taken, took(0.3 if space == BULK else 0.001), 0.0)
    assert sorted(alone) == [BULK, "other", VICTIM]
    changed(pending, BULK, VICTIM)
    assert spaces(pending, 0.0) == {VICTIM}


def expensive(kind: type[Resource], space: str = BULK) -> Changed:
    return Changed(kind, Key(space, "expensive"))


def test_expensive_routes_and_endpoints_wait_too_and_do_not_delay_each_other() -> None:
    """Any change may be expensive: a route with a hundred expressions; a slice whose endpoints are refused now, so that
    thousands of routes change."""
    for kind, other in ((HTTPRoute, EndpointSlice), (EndpointSlice, HTTPRoute)):
        pending = Pending(lambda changed: None)
        pending.add(expensive(kind), 0.0)
        pending.charge(pending.take(50, 0.0), took(0.1), 0.0)
        for changed in (expensive(kind), expensive(other), expensive(Secret), expensive(kind, VICTIM)):
            pending.add(changed, 0.0)
        assert set(pending.take(50, 0.0)) == {expensive(other), expensive(Secret), expensive(kind, VICTIM)}
        assert pending.next_time(0.0) == FACTOR * 0.1
        assert set(pending.take(50, FACTOR * 0.1)) == {expensive(kind)}


def test_changes_that_wait_are_not_looked_at_again_for_each_other_change() -> None:
    looked = 0

    def find(changed: Changed) -> None:
        nonlocal looked
        looked += changed.kind is HTTPRoute

    pending = Pending(find)
    pending.add(expensive(HTTPRoute), 0.0)
    pending.charge(pending.take(50, 0.0), took(1.0), 0.0)
    for number in range(1_000):
        pending.add(Changed(HTTPRoute, Key(BULK, f"r{number}")), 0.0)
        pending.add(Changed(EndpointSlice, Key(BULK, f"e{number}")), 0.0)
    while pending.next_time(0.0) == 0.0:
        assert {changed.kind for changed in pending.take(50, 0.0)} == {EndpointSlice}
    assert looked <= 1_000 + 10
    assert len(pending.take_all()) == 1_000


def test_a_portion_of_many_changes_looks_at_few_of_them() -> None:
    """All were put in order before the first portion: 25 ms for 20,000."""
    looked = 0

    def find(changed: Changed) -> None:
        nonlocal looked
        looked += 1

    pending = Pending(find)
    for number in range(5_000):
        pending.add(Changed(HTTPRoute, Key(BULK, f"r{number}")), 0.0)
    before = looked
    assert 50 <= len(pending.take(50, 0.0)) < 60
    assert looked - before < 150


def test_what_is_deleted_while_it_waits_comes_last() -> None:
    store = Store()
    old = Service(metadata=Metadata(name="old", namespace="n"))
    store.apply([Apply(old)])
    store.snapshot()
    store.apply([Apply(Service(metadata=Metadata(name="old", namespace="n", labels={"a": "b"})))])
    store.apply([Apply(route("n", f"r{number}")) for number in range(2 * WHOLE)])
    store.apply([Delete(Service, old.key)])
    portions = []
    while store.next_portion(0.0) == 0.0:
        portions.append(store.portion(50, 0.0).taken)
    assert sum(map(len, portions)) == 2 * WHOLE + 1
    assert Changed(Service, old.key) in portions[-1]


def test_the_expensive_lanes_of_a_namespace_wait_for_their_sum() -> None:
    pending = Pending(lambda changed: None)
    for kind in (HTTPRoute, EndpointSlice, Gateway):
        pending.add(expensive(kind), 0.0)
        pending.charge(pending.take(50, 0.0), took(0.1), 0.0)
    for kind in (HTTPRoute, EndpointSlice, Gateway):
        pending.add(expensive(kind), 0.0)
    assert pending.next_time(0.0) == FACTOR * 0.1 * 3
    taken = [pending.take(50, FACTOR * 0.1 * 3) for _ in range(3)]
    assert sorted(map(len, taken)) == [1, 1, 1], "each alone, because it may be expensive again"


def test_a_suspect_also_pays_for_the_change_that_made_it_one() -> None:
    pending = Pending(lambda changed: gateway(changed.space))
    changed(pending, BULK, VICTIM)
    pending.charge(pending.take(50, 0.0), took(0.2), 0.0)
    changed(pending, BULK)
    pending.charge(pending.take(50, 0.0), took(0.1), 0.0)
    changed(pending, BULK)
    assert pending.next_time(0.0) == FACTOR * (0.2 + 0.1)


def test_few_changes_of_a_busy_namespace_are_divided() -> None:
    """Each pass is cheap, but they follow each other without a pause: others must not wait for whole ones."""
    store, now = Store(), 0.0

    def rewritten(rules: int) -> set[Changed]:
        store.apply([Apply(route(BULK, f"r{number}", rules)) for number in range(WHOLE // 2)], now)
        portion = store.portion(50, now)
        store.charge(portion, took(EXPENSIVE * 0.8), now)
        return set(portion.taken)

    assert len(rewritten(1)) == WHOLE // 2
    now += 0.03
    assert len(rewritten(2)) == WHOLE // 2
    now += 0.03
    store.apply([Apply(route(VICTIM, "r"))], now)
    assert len(rewritten(3)) <= 1 + QUANTUM, "the victim does not wait for the rest"
    assert len(store.portion(50, now).taken) < WHOLE // 2
    store.snapshot()
    now += 3 * FACTOR * EXPENSIVE
    assert len(rewritten(1)) == WHOLE // 2, "not busy any more"


def test_the_time_of_a_pass_is_shared_by_the_sizes_of_the_changes() -> None:
    store = Store()
    store.apply([Apply(route(BULK, f"r{number}")) for number in range(40)])
    store.apply([Apply(route(VICTIM, "r"))])
    for _ in range(2):
        store.charge(portion := store.portion(50, 0.0), took(EXPENSIVE * 0.8), 0.0)
        assert len(portion.taken) == 41
        store.apply([Apply(route(BULK, f"r{number}", 2)) for number in range(40)])
        store.apply([Apply(route(VICTIM, "r", 2))])
    debts = store._pending._debts
    assert debts.is_busy(BULK, 0.0)
    assert not debts.is_busy(VICTIM, 0.0)


def test_the_listeners_of_others_are_no_debt_of_who_changes_something() -> None:
    """A change of 45 ms, nearly all of it for 12,800 listeners of another namespace at the same Gateway."""
    pending = Pending(lambda changed: gateway(changed.space))
    listeners = {BULK: 12_800, VICTIM: 1}
    for _ in range(10):
        changed(pending, VICTIM)
        assert pending.next_time(0.0) == 0.0
        pending.charge(pending.take(50, 0.0), took(0.045), 0.0, listeners)
    assert pending._debts.is_busy(BULK, 0.0)
    assert not pending._debts.is_busy(VICTIM, 0.0)
    changed(pending, BULK)
    assert pending.next_time(0.0) == 0.0, "who did nothing does not wait"
    pending.charge(pending.take(50, 0.0), took(0.045), 0.0, listeners)
    changed(pending, BULK)
    assert pending.next_time(0.0) == pytest.approx(FACTOR * 0.045, rel=0.001), "they are its own"


def test_of_two_who_change_something_the_owner_of_the_listeners_waits() -> None:
    pending = Pending(lambda changed: gateway(changed.space))
    changed(pending, BULK, VICTIM)
    pending.charge(pending.take(50, 0.0), took(0.045), 0.0, {BULK: 12_800, VICTIM: 1})
    changed(pending, BULK, VICTIM)
    while taken := pending.take(50, 0.0):
        pending.charge(taken, took(0.045), 0.0, {BULK: 12_800, VICTIM: 1})
    changed(pending, BULK, VICTIM)
    assert spaces(pending, 0.0) == {VICTIM}


def test_what_takes_longer_than_others_can_wait_for_is_a_debt_whoever_caused_it() -> None:
    pending = Pending(lambda changed: gateway(changed.space))
    changed(pending, VICTIM)
    pending.charge(pending.take(50, 0.0), took(0.3), 0.0, {BULK: 12_800})
    changed(pending, VICTIM)
    assert pending.next_time(0.0) == pytest.approx(FACTOR * (0.3 - FREE))


def test_how_long_to_wait_is_decided_by_wall_time_and_whether_to_wait_by_cpu_time() -> None:
    """On a busy machine, a change that needs 0.1 s of CPU time may delay others for 0.4 s."""
    pending = Pending(lambda changed: gateway(changed.space))
    changed(pending, BULK)
    pending.charge(pending.take(50, 0.0), Charge(0.1, 0.4), 0.0)
    changed(pending, BULK)
    assert pending.next_time(0.0) == FACTOR * 0.4
    changed(pending, VICTIM)
    pending.charge(pending.take(50, 0.0), Charge(EXPENSIVE / 2, 0.4), 0.0)
    changed(pending, VICTIM)
    assert pending.next_time(0.0) == 0.0


def test_a_pass_without_changes_is_charged_to_nobody() -> None:
    pending = Pending(lambda changed: gateway(changed.space))
    for listeners in (None, {BULK: 3}):
        pending.charge({}, took(1.0), 0.0, listeners)
    assert not pending._debts._spent
