"""A temporary network and process namespace: all ports are free, links can be created, and all processes end with it.

`enter()` replaces this program with a new run of itself inside the namespaces, using unshare(1), and returns only
there. When the outer process ends, for whatever reason, the kernel kills all processes inside. Without root, it adds a
user namespace.
"""

import os
import shutil
import subprocess
import sys

MARK = "TEST_CLUSTER_INSIDE"  # set in the environment of processes inside; not named like an option of fastroute
NOT_POSSIBLE = 3  # the exit code if the kernel permits neither way

_WORDS = ("unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child")
_WAYS = ((*_WORDS,), (*_WORDS, "--map-root-user"))


def is_inside() -> bool:
    return MARK in os.environ


def enter() -> None:
    """Returns inside the new namespaces, with loopback up. If they cannot be created, prints why and exits with
    NOT_POSSIBLE."""
    if is_inside():
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    words = way_in()
    if words is None:
        print(_reason(), file=sys.stderr)
        raise SystemExit(NOT_POSSIBLE)
    sys.stdout.flush()
    os.execvpe(words[0], [*words, *sys.orig_argv], {**os.environ, MARK: "1"})


def way_in() -> tuple[str, ...] | None:
    """The command line that creates the namespaces on this machine; None if none works."""
    if _missing():
        return None
    for words in _WAYS:
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
            return words
    return None


def _missing() -> list[str]:
    packages = {"unshare": "util-linux", "ip": "iproute2", "nsenter": "util-linux"}
    return sorted({package for program, package in packages.items() if not shutil.which(program)})


def _reason() -> str:
    if missing := _missing():
        return f"The test cluster needs: sudo apt-get install -y {' '.join(missing)}"
    return (
        "The test cluster needs a network namespace: run as root, or allow user namespaces "
        "(sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)."
    )
