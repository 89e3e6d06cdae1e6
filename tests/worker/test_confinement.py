"""What a worker gives up before it serves, and what an attacker who controls it can then still do."""

import errno
import json
import os
import re
import site
import subprocess
import sys
from pathlib import Path

import pytest

from fastroute.ext.engine import confinement as kernel
from fastroute.publication import CONFINEMENT
from fastroute.worker import confinement
from fastroute.worker.confinement import confine, installation
from fastroute.worker.systemcalls import CALLS, NEVER, RULES, rules

HEADER = Path("/usr/include/asm-generic/unistd.h")  # the numbers of aarch64

# The expected result of each attempt in attempts.py.
REFUSED = {
    **dict.fromkeys(
        (
            *("read the token", "read the password file", "list the root", "read a device"),
            *("read the memory of main", "read the environment of main", "read its own memory"),
            *("write a file", "append to a file", "write to the Python installation"),
            *("map code", "turn memory into code"),
            *("open a Unix socket", "open a netlink socket", "open a packet socket", "open a raw socket"),
            "open a socket of another protocol",
        ),
        "EACCES",
    ),
    **dict.fromkeys(
        (
            *("signal main", "signal its group", "let a descriptor signal main", "limit main"),
            "become dumpable",
            "splice from a position of a file",
        ),
        "EPERM",
    ),
    "type into a terminal": "ENOTTY",
    **dict.fromkeys(
        (
            *("remove a file", "rename a file", "make a folder", "link to a file", "change a mode", "truncate a file"),
            *("open by openat2", "mount", "change the root", "become another user", "make a namespace"),
            *("execute a program", "fork", "spawn", "start a thread", "clone with clone3"),
            *("trace main", "read memory of main", "take a descriptor of main", "open a descriptor of main"),
            *("move main to another core", "slow down main"),
            *("listen", "make an io_uring", "make a file of memory"),
        ),
        "SIGSYS",
    ),
}
WORKS = {
    **dict.fromkeys(("connect and talk", "splice", "open a UDP socket", "read a module", "print a traceback"), "done"),
    "import a missing module": "ImportError",
    "abort": "SIGABRT",
    "crash with a fault": "SIGSEGV",
}
WITHOUT_LANDLOCK = {
    **dict.fromkeys(("read the token", "read a module", "write a file"), "EACCES"),
    "print a traceback": "ENOENT",
    "fork": "SIGSYS",
    "connect and talk": "done",
}
EXPECTED = {**REFUSED, **WORKS, **{f"{name}, without Landlock": what for name, what in WITHOUT_LANDLOCK.items()}}


@pytest.fixture(scope="module")
def attempted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    secret = folder / "token"
    secret.write_text("secret")
    secret.chmod(0o600)
    command = [sys.executable, str(Path(__file__).parent / "attempts.py"), str(secret), str(folder), str(os.getpid())]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True, env=environment)
    told = json.loads(ended.stdout)
    if told["missing"]:
        pytest.skip(f"this kernel lacks {told['missing']}")
    assert list(folder.iterdir()) == [secret]
    assert secret.read_text() == "secret"
    return told


def test_every_attempt_has_an_expected_outcome(attempted):
    assert set(attempted) == {*EXPECTED, "missing"}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_becomes_of_an_attempt(attempted, name):
    assert attempted[name] == EXPECTED[name]


# --- what is applied, with a kernel of the test's


class Kernel:
    """Records what is applied; `lacks`: names of functions that fail."""

    SANITIZED = False

    def __init__(self, *lacks, version=7):
        self.lacks, self.version, self.applied = lacks, version, []

    def __getattr__(self, name):
        def apply(*arguments):
            if name in self.lacks:
                raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
            self.applied.append(name)
            self.arguments = arguments

        return apply

    def landlock_version(self):
        return self.version


ORDER = ["forbid_new_privileges", "drop_capabilities", "forbid_dumps", "restrict_files", "filter_calls"]


@pytest.fixture
def confined(monkeypatch):
    def run(kernel):
        monkeypatch.setattr(confinement, "kernel", kernel)
        return confine().missing

    return run


def test_everything_is_applied_and_the_filter_of_system_calls_last(confined):
    kernel = Kernel()
    assert confined(kernel) == {}
    assert kernel.applied == ORDER


def test_what_is_missing_is_named_and_the_rest_is_applied(confined):
    kernel = Kernel("drop_capabilities", "filter_calls")
    assert confined(kernel) == dict.fromkeys(("capabilities", "seccomp"), "Function not implemented")
    assert kernel.applied == [name for name in ORDER if name not in kernel.lacks]


def test_without_landlock_no_file_is_opened_at_all(confined):
    kernel = Kernel("restrict_files")
    assert set(confined(kernel)) == {"landlock", "landlock_tcp", "landlock_scope"}
    calls, limited = kernel.arguments
    assert not {"open", "openat"} & set(calls)
    opening = [rule for rule in limited if rule.call in ("open", "openat")]
    assert [rule.conditions for rule in opening] == [NEVER] * 2


@pytest.mark.parametrize(
    ("version", "missing"),
    [(1, {"landlock_tcp", "landlock_scope"}), (4, {"landlock_scope"}), (5, {"landlock_scope"}), (6, set())],
)
def test_an_older_landlock_lacks_parts(confined, version, missing):
    assert set(confined(Kernel(version=version))) == missing


def test_under_a_sanitizer_only_privileges_are_given_up(confined):
    kernel = Kernel()
    kernel.SANITIZED = True
    assert set(confined(kernel)) == {"landlock", "landlock_tcp", "landlock_scope", "seccomp"}
    assert kernel.applied == ORDER[:3]


def test_kinds_are_those_of_the_metric(confined):
    assert set(confined(Kernel(*ORDER))) == set(CONFINEMENT)


def test_files_that_stay_readable_are_the_installation_and_nothing_above_it():
    folders = [Path(folder) for folder in installation()]
    assert any(Path(os.__file__).is_relative_to(folder) for folder in folders)
    assert any(Path(confinement.__file__).resolve().is_relative_to(folder) for folder in folders)
    for secret in ("/var/run/secrets/kubernetes.io", "/run/secrets", "/etc/passwd", "/proc/1", str(Path.home())):
        assert not any(Path(secret).is_relative_to(folder) for folder in folders)


def test_packages_that_a_user_installed_stay_readable(monkeypatch, tmp_path):
    monkeypatch.setattr(site, "USER_SITE", str(tmp_path))
    monkeypatch.setattr(site, "ENABLE_USER_SITE", False)
    assert str(tmp_path.resolve()) not in installation()
    monkeypatch.setattr(site, "ENABLE_USER_SITE", True)
    assert str(tmp_path.resolve()) in installation()


# --- the list of system calls


def test_a_call_is_listed_once_and_allowed_or_limited():
    names = [*CALLS, *{rule.call for rule in rules(1, files_are_restricted=True)}]
    assert len(names) == len(set(names))
    assert {rule.call for rule in RULES} < {rule.call for rule in rules(1, files_are_restricted=False)}


def names():
    return [*CALLS, *(rule.call for rule in rules(1, files_are_restricted=True))]


@pytest.mark.parametrize("name", names())
def test_every_call_is_known(name):
    number = kernel.call_number(name)
    assert number is None or number >= 0


def test_an_unknown_call_is_an_error():
    with pytest.raises(KeyError):
        kernel.call_number("reed")


@pytest.mark.skipif(not HEADER.exists(), reason="needs linux-libc-dev")
def test_what_only_x86_has_is_what_the_header_of_aarch64_lacks():
    defined = dict(re.findall(r"#define __NR_?(\w+) (\w+)", HEADER.read_text()))
    known = {name for name, value in defined.items() if value.isdigit() or defined.get(value[4:], "").isdigit()}
    assert {name for name in names() if name not in known} == kernel.OF_X86
