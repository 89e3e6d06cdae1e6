"""Schemas, one by one: what is wrong with a value, and at which path."""

import pytest

from fastroute.resources.schema import Anything, Flag, List, Map, Record, Text, Whole, unknown_fields

NAME = Text(least=1, most=3)
CASES = [
    (Text(), "x", []),
    (Text(), None, [((), "must be a string, got null")]),
    (Text(), ["x"], [((), 'must be a string, got ["x"]')]),
    (NAME, "", [((), "must have 1 to 3 characters, got 0")]),
    (NAME, "abcd", [((), "must have 1 to 3 characters, got 4")]),
    (Text(most=2), "äöü", [((), "must have at most 2 characters, got 3")]),
    (Text(least=1), "", [((), "must have at least 1 character, got 0")]),
    (Text(form="^a"), "b", [((), "must be a string that matches ^a, got b")]),
    (Text(form="^a", like="an a"), "b" * 70, [((), f"must be an a, got {'b' * 59}…")]),
    (Text(form="^a"), "a\n", []),
    (Text(form="^a"), " a", [((), 'must be a string that matches ^a, got " a"')]),
    (Text(choices=("GET",)), "get", [((), "must be GET, got get (did you mean GET?)")]),
    (Text(choices=("GET", "PUT")), "", [((), 'must be one of GET, PUT, got ""')]),
    (Whole(), 5, []),
    (Whole(), True, [((), "must be an integer, got true")]),
    (Whole(least=1), 0, [((), "must be an integer of at least 1, got 0")]),
    (Whole(choices=(301, 302)), 300, [((), "must be one of 301, 302, got 300")]),
    (Whole(least=0, most=9), "7", [((), 'must be an integer from 0 to 9, got "7" (remove the quotes)')]),
    (Whole(least=0, most=9), "70", [((), "must be an integer from 0 to 9, got 70")]),
    (Flag(), False, []),
    (Flag(), "yes", [((), "must be true or false, got yes")]),
    (List(of=NAME), {}, [((), "must be a list, got {}")]),
    (List(of=NAME, least=1), [], [((), "must have at least 1 item, got 0")]),
    (List(of=NAME, most=1), ["a", ""],
     [((), "must have at most 1 item, got 2"), ((1,), "must have 1 to 3 characters, got 0")]),
    (List(of=Anything(), keys=("a", "b")), [{"a": 1, "b": 1}, {"a": 1}, {"a": 1, "b": 2}, 5], []),
    (List(of=Anything(), keys=("a", "b")), [{"a": 1, "b": 2}, {}, {"a": 1, "b": 2}],
     [((2,), "a 1 and b 2 is already used at [0] of this list: it must be unique")]),
    (Map(of=NAME), {"a": "b"}, []),
    (Map(of=NAME), [], [((), "must be a mapping, got []")]),
    (Map(of=NAME, keys=NAME, most=1), {"long": "b", "b": "long"},
     [((), "must have at most 1 entry, got 2"), (("long",), "the key must have 1 to 3 characters, got 4"),
      (("b",), "must have 1 to 3 characters, got 4")]),
    (Record(fields={"a": NAME, "b": Anything()}, required=("a", "b")), {"a": "x", "c": 1}, [(("b",), "is required")]),
    (Record(fields={"a": List(of=Record(fields={"b": NAME}))}), {"a": [{"b": "x"}, {"b": ""}]},
     [(("a", 1, "b"), "must have 1 to 3 characters, got 0")]),
    (Record(fields={}), "x", [((), "must be a mapping, got x")]),
    (Anything(), object(), []),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "value", "faults"), CASES)
def test_a_schema_judges(schema, value, faults):
    assert [(fault.path, fault.message) for fault in schema.faults(value)] == faults


def test_unknown_fields_are_found_in_lists_and_records_but_not_in_maps():
    schema = Record(fields={"list": List(of=Record(fields={"known": Text()})), "map": Map(of=Text())})
    value = {"list": [{"known": "a", "knwon": 1}, 5], "map": {"any": "thing"}, "else": 1}
    assert [(fault.path, fault.message.partition(": ")[2]) for fault in unknown_fields(schema, value)] == [
        (("list", 0, "knwon"), "did you mean known?"),
        (("else",), ""),
    ]
    assert list(unknown_fields(schema, [])) == []
