"""The line of an object's file to which a message refers."""

import json
from pathlib import Path

import pytest

from fastroute.resources import decode, document
from fastroute.resources.meta import Key
from fastroute.source.directory import Directory

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: a}
spec:
  ports:
  - port: 80
    name: one
  - port: 81
    name: two
"""
ONE, TWO = ("Service", Key("a", "one")), ("Service", Key("a", "two"))


def items(*names: str) -> str:
    listed = ("- " + (SERVICE % name).strip().replace("\n", "\n  ") + "\n" for name in names)
    return "apiVersion: v1\nkind: List\nitems:\n" + "".join(listed)


def lines_of(folder: Path, text: str, name: str = "x.yaml"):
    (folder / name).write_text(text)
    source = Directory([folder])
    source.load()
    return source.lines(), str(folder / name)


FIELDS = [
    (ONE, "spec.ports[1].port", 8),
    (ONE, "spec.ports[1].name", 9),
    (ONE, "spec.ports[1].appProtocol", 8),
    (ONE, "spec.selector", 4),
    (TWO, "spec.ports[0].port", 16),
    (("Service", Key("a", "three")), "spec", None),
]


@pytest.mark.parametrize(("name", "field", "line"), FIELDS)
def test_a_field_of_a_document(tmp_path, name, field, line):
    lines, file = lines_of(tmp_path, SERVICE % "one" + "---\n" + SERVICE % "two")
    assert lines.find(file, name, field) == line


def test_a_field_of_an_item_of_a_list(tmp_path):
    lines, file = lines_of(tmp_path, items("one", "two"))
    assert lines.find(file, TWO, "spec.ports[1].name") == 3 + 9 + 9


def test_json(tmp_path):
    value = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "one", "namespace": "a"}, "spec": {}}
    lines, file = lines_of(tmp_path, json.dumps(value, indent=1), "x.json")
    assert lines.find(file, ONE, "spec.ports") == 8


def test_a_file_that_is_not_known(tmp_path):
    lines, _ = lines_of(tmp_path, "")
    assert lines.find("elsewhere.yaml", ONE, "spec") is None


def test_a_document_of_many_objects_is_looked_through_once(tmp_path, monkeypatch):
    looked: list[str] = []

    def positions(text, *more):
        looked.append(text)
        return document.positions(text, *more)

    monkeypatch.setattr(decode, "positions", positions)
    text = items(*(f"service-{number}" for number in range(50)))
    lines_of(tmp_path, text.replace("port: 81", "port: 81000"))
    assert looked == [text.replace("port: 81", "port: 81000")]
