"""Which problems are logged if there are too many at a time."""

import logging

import pytest

from fastroute.reporting.problemlog import AT_MOST, ProblemLog
from fastroute.resources.problem import ManifestProblem


def problem(namespace: str | None, number: int, file: str = "a.yaml") -> ManifestProblem:
    return ManifestProblem(file=file, message=f"no {number}", kind="Service", namespace=namespace, name="s")


def test_the_namespaces_take_turns(caplog: pytest.LogCaptureFixture) -> None:
    """In the order of files, all lines would be about a-team."""
    caplog.set_level(logging.INFO)
    log = ProblemLog()
    problems = [problem("a-team", number) for number in range(500)]
    log.show({"a.yaml": [*problems, problem("z-team", 1)], "z.yaml": [problem(None, 1, "z.yaml")]})
    assert len(caplog.messages) == AT_MOST + 1
    assert sum("z-team" in text or "z.yaml" in text for text in caplog.messages) == 2
    caplog.clear()
    log.show({"a.yaml": []})
    assert sum("z-team" in text for text in caplog.messages) == 1


def test_a_problem_that_moves_to_another_topic_is_not_said_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = ProblemLog()
    log.show({"a": [problem("n", 1), problem("n", 2)], "b": [problem("n", 3)]})
    caplog.clear()
    log.show({"a": [problem("n", 1)], "b": [problem("n", 2)]})
    assert [text.partition(": Service")[0] for text in caplog.messages] == ["fixed: a.yaml"]
    assert "no 3" in caplog.text


def test_only_what_changed_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[ManifestProblem] = []
    identity = "fastroute.reporting.problemlog._identity"
    monkeypatch.setattr(identity, lambda each: compared.append(each) or (each.message,))
    log, one, two = ProblemLog(), problem("n", 1), problem("n", 2)
    log.show({"a": [one], "b": [two]})
    log.show({})
    log.show({"b": [one]})
    assert compared == [one, two, one]
