"""Reports: the problems and warnings of a source by topic: the file in which they were found, or UNREADABLE or TWICE.

There may be thousands of faulty files, so the cost of a change depends on the reports that change.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from fastroute.resources.problem import ManifestProblem

UNREADABLE, TWICE = "<unreadable>", "<defined twice>"


class Report(NamedTuple):
    problems: tuple[ManifestProblem, ...] = ()  # objects that are not used as they are defined
    warnings: tuple[ManifestProblem, ...] = ()  # fields without effect


_NOTHING = Report()


class Reports:
    """Of what is unreadable first, then of the files in their order, then of what is defined twice."""

    def __init__(self, ranks: Mapping[str, tuple[int | str, ...]] | None = None) -> None:
        """`ranks`: of the files; it may change."""
        self._ranks = {} if ranks is None else ranks
        self._reports: dict[str, Report] = {}  # only those that are not empty
        self._news: set[str] = set()  # topics

    def replace(
        self, topic: str, problems: Iterable[ManifestProblem], warnings: Iterable[ManifestProblem] = ()
    ) -> bool:
        """True if the report changed."""
        report = Report(tuple(problems), tuple(warnings))
        if self._reports.get(topic, _NOTHING) == report:
            return False
        if report == _NOTHING:
            del self._reports[topic]
        else:
            self._reports[topic] = report
        self._news.add(topic)
        return True

    def take_news(self) -> Mapping[str, Sequence[ManifestProblem]]:
        """By topic: all problems and warnings of those that changed since the last call."""
        news, self._news = self._news, set()
        found = {topic: self._reports.get(topic, _NOTHING) for topic in news}
        return {topic: (*report.problems, *report.warnings) for topic, report in found.items()}

    @property
    def problems(self) -> tuple[ManifestProblem, ...]:
        """All of them, in the order of the topics."""
        return tuple(problem for topic in self._in_order() for problem in self._reports[topic].problems)

    @property
    def warnings(self) -> tuple[ManifestProblem, ...]:
        return tuple(warning for topic in self._in_order() for warning in self._reports[topic].warnings)

    def _in_order(self) -> list[str]:
        return sorted(
            self._reports, key=lambda topic: (topic != UNREADABLE, topic == TWICE, self._ranks.get(topic, ()))
        )
