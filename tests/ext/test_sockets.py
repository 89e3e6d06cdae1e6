"""Listeners by place and hostname, and groups by hostname: made from the previous version at the cost of the change,
and equal to those made from nothing."""

import gc
import random
import time
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import pytest
from rig import loopback
from snapshots import a_listener, a_rule, build

from fastroute.ext.memory.graveyard import buried, collect
from fastroute.ext.routing.tables import TableBuilder, Tables, Upstreams
from fastroute.publication import RuleSlots
from fastroute.snapshot import Listener, Rule

PORTS = (8080, 8081, 8082)
EXACT = tuple(f"host-{number}.example{number % 9}.com" for number in range(500))
WILDCARDS = tuple(f"*.{'w' * (number % 40)}{number}.org" for number in range(200))
HOSTNAMES = ("", "*.com", "*.org", *EXACT, *WILDCARDS)
HOSTS = (*EXACT, "other.com", "other.org", "other.net", *(name.replace("*", "a.b") for name in WILDCARDS))


@pytest.fixture(autouse=True)
def _empty_graveyard() -> Iterator[None]:
    """Every test must free all tables."""
    yield
    gc.collect()
    while collect(10_000):
        pass
    assert buried() == 0


def the_listener(number: int, hostname: str, port: int) -> Listener:
    """Tables.find returns its spec port, so that identifies it."""
    return msgspec.structs.replace(a_listener(f"l{number:05}", hostname, port=port), spec_port=number)


def edited(tables: Tables | None, before: Mapping[str, Listener], after: Mapping[str, Listener]) -> Tables:
    builder = TableBuilder(Upstreams(), tables, 2)
    for id in before.keys() - after.keys():
        builder.remove_listener(id)
    for id, listener in after.items():
        if before.get(id) != listener:
            builder.put_listener(listener)
    return builder.finish()


def found(tables: Tables, hosts: Sequence[str]) -> list[int]:
    """The listener for each host at each port."""
    indexes = [tables.socket_index(loopback(port)) for port in PORTS]
    return [tables.find(index, "GET", "/", host)[3] for index in indexes for host in hosts]


def shuffled(known: Mapping[str, Listener], chance: random.Random, *, distinct: bool) -> dict[str, Listener]:
    """Some listeners removed, changed and added; without `distinct`, several may have the same place and hostname."""
    after = dict(known)
    for id in chance.sample(sorted(after), min(len(after), chance.choice((0, 1, 20, 400)))):
        del after[id]
    taken = {(listener.place, listener.hostname) for listener in after.values()}
    for _ in range(chance.choice((0, 1, 30, 500))):
        made = the_listener(chance.randrange(1500), chance.choice(HOSTNAMES), chance.choice(PORTS))
        if made.id not in after and not (distinct and (made.place, made.hostname) in taken):
            after[made.id] = made
            taken.add((made.place, made.hostname))
    return after


@pytest.mark.parametrize("seed", range(4))
def test_random_edits_equal_a_rebuild(seed: int) -> None:
    chance = random.Random(seed)
    tables: Tables | None = None
    before: dict[str, Listener] = {}
    for step in range(25):
        after = shuffled(before, chance, distinct=step % 8 != 7)
        tables = edited(tables, before, after)
        rebuilt = build(after.values(), [])
        hosts = chance.sample(HOSTS, 40)
        assert found(tables, hosts) == found(rebuilt, hosts), f"seed {seed}, step {step}"
        assert all((tables.socket_index(loopback(p)) < 0) == (rebuilt.socket_index(loopback(p)) < 0) for p in PORTS)
        before = after


def test_versions_do_not_change_each_other() -> None:
    """They are freed in any order."""
    chance = random.Random(1)
    hosts = chance.sample(HOSTS, 20)
    versions: list[tuple[Tables, dict[str, Listener], list[int]]] = []
    for _ in range(30):
        tables, before, _ = chance.choice(versions) if versions else (None, {}, [])
        after = shuffled(before, chance, distinct=True)
        made = edited(tables, before, after)
        versions.append((made, after, found(made, hosts)))
        if len(versions) > 8:
            del versions[chance.randrange(len(versions))]
            del tables
            collect(100)
        assert all(found(tables, hosts) == as_made for tables, _, as_made in versions)


def rule_for(number: int, *hostnames: str) -> Rule:
    return a_rule(f"team-{number}/route", hostnames=hostnames)


def test_groups_of_many_hostnames_equal_a_rebuild() -> None:
    chance = random.Random(2)
    rules: dict[str, Rule] = {}
    tables = build([a_listener()], [])
    for _ in range(25):
        builder = TableBuilder(Upstreams(), tables, 2)
        for id in chance.sample(sorted(rules), len(rules) // chance.choice((2, 50))):
            del rules[id]
            builder.remove_rule(id)
        for _ in range(chance.choice((1, 200))):
            rule = rule_for(chance.randrange(800), *chance.sample(HOSTNAMES, chance.randrange(1, 4)))
            rules[rule.id] = rule
            builder.put_rule(rule, RuleSlots())
        tables = builder.finish()
        rebuilt = build([a_listener()], [rules[id] for id in sorted(rules)])
        assert len(tables) == len(rebuilt) == len(rules)
        for host in chance.sample(HOSTS, 100):
            assert tables.find(0, "GET", "/", host) == rebuilt.find(0, "GET", "/", host)


def many(count: int) -> dict[str, Listener]:
    """On 64 ports, and half of them on the first one."""
    places = (8000 + (number // 2 % 64 if number % 2 else 0) for number in range(count))
    made = (the_listener(number, f"h{number}.example.com", port) for number, port in enumerate(places))
    return {listener.id: listener for listener in made}


def one_edit(known: dict[str, Listener]) -> dict[str, Listener]:
    first = next(iter(known.values()))
    return {**known, first.id: msgspec.structs.replace(first, hostname="changed.example.com")}


def steps_of(builder: TableBuilder) -> int:
    steps = 1
    while builder.step(0):
        steps += 1
    return steps


def test_an_edit_takes_as_many_steps_with_many_listeners_as_with_few() -> None:
    steps = []
    for count in (256, 12_800):
        known = many(count)
        tables = build(known.values(), [])
        builder = TableBuilder(Upstreams(), tables, 2)
        builder.put_listener(one_edit(known)["infra/gateway/l00000@127.0.0.1"])
        steps.append(steps_of(builder))
        builder.finish()
        steps[-1] += sum(1 for _ in (*builder.discard(), *tables.discard()))
    assert steps[1] <= 2 * steps[0] < 1000


def test_an_edit_costs_a_small_part_of_a_rebuild() -> None:
    known = many(12_800)
    began = time.thread_time()
    tables = build(known.values(), [])
    rebuild = time.thread_time() - began
    costs = []
    for number in range(5):
        builder = TableBuilder(Upstreams(), tables, 2)
        changed = the_listener(number, f"changed{number}.example.com", 8000)
        began = time.thread_time()
        builder.put_listener(changed)
        before, tables = tables, builder.finish()
        list(builder.discard())
        list(before.discard())
        del before, builder
        while collect(1000):
            pass
        costs.append(time.thread_time() - began)
    assert min(costs) < rebuild / 15
