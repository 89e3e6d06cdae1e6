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
    log.show([*problems, problem("z-team", 1), problem(None, 1, "z.yaml")])
    assert len(caplog.messages) == AT_MOST + 1
    assert sum("z-team" in text or "z.yaml" in text for text in caplog.messages) == 2
    caplog.clear()
    log.show([])
    assert sum("z-team" in text for text in caplog.messages) == 1


def test_the_same_lists_are_not_compared_again(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[ManifestProblem] = []
    identity = "fastroute.reporting.problemlog._identity"
    monkeypatch.setattr(identity, lambda each: compared.append(each) or (each.message,))
    log, problems, warnings = ProblemLog(), [problem("n", 1)], [problem("n", 2)]
    for _ in range(3):
        log.show(problems, warnings)
    assert compared == [*problems, *warnings]
