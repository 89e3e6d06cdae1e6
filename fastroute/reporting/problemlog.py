"""ProblemLog: logs the problems of the manifests while they are served: each problem once, and again when it is fixed.

Two problems are the same if file, object, field and message are equal. The line is ignored: edits above it change it.
If there are too many at a time, the namespaces take turns.
"""

import logging
from collections.abc import Sequence
from itertools import chain
from operator import is_

from fastroute.fairness import fair_part
from fastroute.resources.problem import ManifestProblem

AT_MOST = 100  # lines at a time

_log = logging.getLogger(__name__)

Identity = tuple[str | None, ...]


class ProblemLog:
    """The problems that were logged and are not yet fixed."""

    def __init__(self) -> None:
        self._last: tuple[Sequence[ManifestProblem], ...] = ()
        self._said: dict[Identity, ManifestProblem] = {}

    def show(self, *lists: Sequence[ManifestProblem]) -> None:
        """The lists are all problems at this moment. The same lists as the last time cost nothing."""
        if len(lists) == len(self._last) and all(map(is_, lists, self._last)):
            return
        self._last = lists
        now = {_identity(problem): problem for problem in chain(*lists)}
        new = [problem for key, problem in now.items() if key not in self._said]
        mended = [problem for key, problem in self._said.items() if key not in now]
        for problem in fair_part(new, AT_MOST, _namespace):
            _log.warning("%s%s", problem, f" (write {problem.fix})" if problem.fix else "")
        for problem in fair_part(mended, AT_MOST, _namespace):
            _log.info("fixed: %s", problem)
        if (more := len(new) - AT_MOST) > 0:
            _log.warning("%d more problems in the manifests; `fastroute check` shows them all", more)
        self._said = now


def _identity(problem: ManifestProblem) -> Identity:
    return (problem.file, problem.kind, problem.namespace, problem.name, problem.field, problem.message)


def _namespace(problem: ManifestProblem) -> str:
    """Of a file that cannot be read, the file."""
    return problem.namespace or problem.file
