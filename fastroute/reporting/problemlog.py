"""ProblemLog: logs the problems of the manifests while they are served: each problem once, and again when it is fixed.

Two problems are the same if file, object, field and message are equal. The line is ignored: edits above it change it.
If there are too many at a time, the namespaces take turns. Only topics that changed are compared (source/reports.py).
"""

import logging
from collections.abc import Mapping, Sequence
from itertools import chain

from fastroute.fairness import fair_part
from fastroute.resources.problem import ManifestProblem

AT_MOST = 100  # lines at a time

_log = logging.getLogger(__name__)

Identity = tuple[str | None, ...]


class ProblemLog:
    """The problems that were logged and are not yet fixed."""

    def __init__(self) -> None:
        self._said: dict[str, dict[Identity, ManifestProblem]] = {}  # by topic

    def show(self, news: Mapping[str, Sequence[ManifestProblem]]) -> None:
        """`news`: by topic, all problems at this moment; of the topics that changed."""
        before = dict(chain.from_iterable(self._said.pop(topic, {}).items() for topic in news))
        for topic, problems in news.items():
            if problems:
                self._said[topic] = {_identity(problem): problem for problem in problems}
        now = dict(chain.from_iterable(self._said.get(topic, {}).items() for topic in news))
        new = [problem for key, problem in now.items() if key not in before]
        mended = [problem for key, problem in before.items() if key not in now]
        for problem in fair_part(new, AT_MOST, _namespace):
            _log.warning("%s%s", problem, f" (write {problem.fix})" if problem.fix else "")
        for problem in fair_part(mended, AT_MOST, _namespace):
            _log.info("fixed: %s", problem)
        if (more := len(new) - AT_MOST) > 0:
            _log.warning("%d more problems in the manifests; `fastroute check` shows them all", more)


def _identity(problem: ManifestProblem) -> Identity:
    return (problem.file, problem.kind, problem.namespace, problem.name, problem.field, problem.message)


def _namespace(problem: ManifestProblem) -> str:
    """Of a file that cannot be read, the file."""
    return problem.namespace or problem.file
