"""Workers are confined: what the main process reports about this, and a worker that is controlled by an attacker."""

import logging
import os
import signal
import site
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from load import until

from fastroute.metrics import Metrics
from fastroute.publication import CONFINEMENT
from fastroute.settings import ServeSettings
from fastroute.snapshot import Snapshot
from fastroute.supervisor import Supervisor, process
from fastroute.supervisor.confinement import Confinement

HOSTILE = Path(__file__).with_name("hostile.py")
TELLING = """
import os
say("environment: " + " ".join(sorted(os.environ)))
try:
    say("token: " + open({token!r}).read())
except OSError as error:
    say(f"token: {{error.strerror}}")
"""


@asynccontextmanager
async def running():
    """A supervisor with one worker, which has reported its confinement."""
    metrics = Metrics()
    supervisor = Supervisor(ServeSettings(manifests=()), metrics, 1)
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        yield supervisor, metrics
        nursery.cancel_scope.cancel()


def confined_by(metrics):
    value = metrics.registry.get_sample_value
    return {kind for kind in CONFINEMENT if value("fastroute_worker_confinement", {"kind": kind})}


def status_of(pid):
    """The fields of /proc/PID/status."""
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())


async def test_a_worker_is_confined_before_it_serves_and_the_metric_says_by_what():
    async with running() as (supervisor, metrics):
        await supervisor.publish(Snapshot())
        await until(lambda: supervisor.ready)
        (worker,) = supervisor._workers.values()
        status = status_of(worker.pid)
        by = confined_by(metrics)
        for kind, name, value in (("no_new_privs", "NoNewPrivs", "1"), ("seccomp", "Seccomp", "2")):
            assert kind not in by or status[name] == value
        assert "capabilities" in by
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        assert int(status["Threads"]) == 1


async def test_a_hostile_worker_finds_neither_the_token_nor_secrets_in_its_environment(tmp_path, monkeypatch, caplog):
    token, code = tmp_path / "token", tmp_path / "code"
    token.write_text("secret")
    code.write_text(TELLING.format(token=str(token)))
    monkeypatch.setattr(process, "PROGRAM", (str(HOSTILE), str(code)))
    monkeypatch.setenv("CLOUD_SECRET", "x")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.1")
    async with running() as (supervisor, metrics):
        await supervisor.publish(Snapshot())
        await until(lambda: supervisor.ready)
        if not {"landlock", "seccomp"} & confined_by(metrics):
            pytest.skip("this kernel has neither Landlock nor seccomp")
    said = dict(record.getMessage().split(": ", 1)[1].split(": ", 1) for record in caplog.records[:2])
    assert said["token"] == "Permission denied"
    environment = said["environment"].split()
    assert "PYTHONPATH" in environment
    assert set(environment) <= {"PYTHONPATH", "PYTHONUSERBASE", *process._INHERITED}


async def test_a_forbidden_system_call_ends_the_worker_and_the_log_names_it(tmp_path, monkeypatch, caplog):
    code = tmp_path / "code"
    code.write_text("import os; os.fork()")
    monkeypatch.setattr(process, "PROGRAM", (str(HOSTILE), str(code)))
    async with running() as (_, metrics):
        await until(lambda: metrics.registry.get_sample_value("fastroute_worker_restarts_total") >= 1)
        if "seccomp" not in confined_by(metrics):
            pytest.skip("this kernel has no seccomp")
    assert "killed by SIGSYS: it made a system call that is not allowed" in caplog.text


def test_what_is_missing_is_one_line_until_it_changes(caplog):
    caplog.set_level(logging.DEBUG)
    metrics = Metrics()
    confinement = Confinement(metrics.worker_confinement)
    assert confined_by(metrics) == set()
    for _ in range(3):
        confinement.report({"landlock": "Function not implemented", "seccomp": "Operation not permitted"})
    assert confined_by(metrics) == {*CONFINEMENT} - {"landlock", "seccomp"}
    confinement.report({})
    assert confined_by(metrics) == set(CONFINEMENT)
    warning, debug = caplog.records
    assert (warning.levelno, debug.levelno) == (logging.WARNING, logging.DEBUG)
    assert "landlock: Function not implemented; seccomp: Operation not permitted" in warning.getMessage()


def test_the_environment_is_what_a_worker_needs(monkeypatch):
    monkeypatch.setattr(os, "environ", {"LANG": "C.UTF-8", "HOME": "/root", "TOKEN": "x", "PYTHONPATH": "/there"})
    monkeypatch.setattr(site, "ENABLE_USER_SITE", False)
    environment = process._environment()
    assert set(environment) == {"LANG", "PYTHONPATH"}
    assert environment["PYTHONPATH"].endswith(f"{os.pathsep}/there")


def test_a_worker_finds_the_packages_that_a_user_installed(monkeypatch):
    monkeypatch.setattr(site, "ENABLE_USER_SITE", True)
    monkeypatch.setattr(site, "USER_BASE", "/home/me/.local")
    assert process._environment()["PYTHONUSERBASE"] == "/home/me/.local"
    assert signal.SIGSYS  # named in `Worker.ending`
