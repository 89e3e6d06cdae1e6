"""Settings of all tests: no time limits for hypothesis, because slow examples on a busy machine are no failures.

Coverage is not measured in tests with random inputs. It doubles their time, because they run the same lines thousands
of times, and what they cover differs from run to run.
"""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

# Makes `bench` importable. Its parent is not added to sys.path, because the folder ext there would hide tests/ext.
_bench = spec_from_file_location("bench", Path(__file__).parent.parent / "bench" / "__init__.py")
assert _bench is not None
sys.modules["bench"] = module_from_spec(_bench)
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker("no_cover")
