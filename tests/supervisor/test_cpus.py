"""How many CPUs this process may use."""

import math
import os

import pytest

from fastroute.supervisor import cpus


def written(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("own", "files", "least"),
    [
        pytest.param("0::/\n", {}, math.inf, id="no limit"),
        pytest.param("0::/\n", {"cpu.max": "max 100000\n"}, math.inf, id="v2: max"),
        pytest.param("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5, id="v2: in a container"),
        pytest.param(
            "0::/a/b\n", {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "max 1\n"}, 3.0, id="v2: of a parent"
        ),
        pytest.param(
            "3:cpu,cpuacct:/x\n",
            {"cpu,cpuacct/x/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/x/cpu.cfs_period_us": "100000\n"},
            2.5,
            id="v1",
        ),
        pytest.param(
            "3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf, id="v1: none"
        ),
        pytest.param("4:memory:/\n", {}, math.inf, id="another controller"),
    ],
)
def test_quotas(tmp_path, own, files, least):
    root = written(tmp_path / "cgroup", files)
    here = tmp_path / "self"
    here.write_text(own)
    assert min(cpus._quotas(here, root), default=math.inf) == least


def test_without_proc_there_is_no_quota(tmp_path):
    assert cpus._quotas(tmp_path / "absent", tmp_path) == []


def test_affinity_bounds_it_and_one_is_the_least(monkeypatch):
    assert 1 <= cpus.usable_cpus() <= len(os.sched_getaffinity(0))
    monkeypatch.setattr(cpus, "_quotas", lambda own, root: [0.3])
    assert cpus.usable_cpus() == 1
