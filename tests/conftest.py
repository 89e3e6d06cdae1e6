"""Settings of all tests: no time limits for hypothesis, because slow examples on a busy machine are no failures.

Coverage is not measured in tests with random inputs. It doubles their time, because they run the same lines thousands
of times, and what they cover differs from run to run.
"""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

sys.path.append(str(Path(__file__).parent.parent))  # for bench; last, so that fastroute is the one that is tested
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker("no_cover")
