"""A network and process namespace that is thrown away: in it ports are free, links are ours, and nothing outlives it.

`enter()` starts this very program again inside, by way of unshare(1), and comes back only there. When the outer process
is gone, however, the kernel kills all that was started inside. Without root, user namespaces do the same.
"""

import os
import shutil
import subprocess
import sys

MARK = "TEST_CLUSTER_INSIDE"  # in the environment of whoever is inside; not named as an option of fastroute
NOT_POSSIBLE = 3  # the exit code where the kernel grants neither

_WORDS = ("unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child")
_WAYS = ((*_WORDS,), (*_WORDS, "--map-root-user"))


def is_inside() -> bool:
    return MARK in os.environ


def enter() -> None:
    """Comes back inside of new namespaces, loopback up. Exits with NOT_POSSIBLE, and a sentence, where it cannot."""
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
    """The command line that opens the namespaces here; None where nothing does."""
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
