"""Problems and warnings by topic, and what changed since they were last taken."""

from pathlib import Path

import pytest
from source.following import follow, put, route

from fastroute.resources.problem import ManifestProblem
from fastroute.source.reports import TWICE, UNREADABLE, Reports


def problem(file: str) -> ManifestProblem:
    return ManifestProblem(file=file, message="is wrong")


def test_they_are_in_the_order_of_the_files() -> None:
    reports = Reports({"b": (0,), "a": (1,)})
    for topic in ("a", TWICE, "b", UNREADABLE):
        assert reports.replace(topic, [problem(topic)], [problem(f"{topic} too")])
    assert [each.file for each in reports.problems] == [UNREADABLE, "b", "a", TWICE]
    assert [each.file for each in reports.warnings] == [f"{name} too" for name in (UNREADABLE, "b", "a", TWICE)]


def test_only_what_changed_is_news() -> None:
    reports = Reports()
    reports.replace("a", [problem("a")])
    reports.replace("b", [], [problem("b")])
    assert reports.take_news() == {"a": (problem("a"),), "b": (problem("b"),)}
    assert not reports.replace("a", [problem("a")])
    assert not reports.replace("c", [])
    assert reports.replace("b", [])
    assert reports.take_news() == {"b": ()}
    assert reports.take_news() == {}
    assert reports.warnings == ()


async def test_a_change_reports_only_the_files_that_it_concerns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many others have problems."""
    monkeypatch.chdir(tmp_path)
    for number in range(100):
        put(f"{number}.yaml", route(f"r{number}").replace("8080", "wrong"))
    async with follow(tmp_path) as seen:
        reports = seen.directory.store.reports
        assert len(seen.said) == len(reports.take_news()) == 100
        put("new", route("r7"), into="7.yaml")
        await seen.until(lambda seen: len(seen.said) == 99)
        put("new", route("r8"), into="7.yaml")
        put("new", route("r8"), into="8.yaml")
        await seen.until(lambda seen: len(seen.said) == 99 and "is also defined" in seen.said[-1])
    assert set(reports.take_news()) == {str(tmp_path / "7.yaml"), str(tmp_path / "8.yaml"), TWICE}
