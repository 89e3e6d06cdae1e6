"""confine(): what a worker gives up before it serves, so that an attacker who controls it gains little.

    no_new_privs     a program that it executes gains no privilege, and the next two need no privilege
    capabilities     none, also as root
    not_dumpable     no core file, and no other process of the user reads its memory
    landlock         it opens no files but those of the Python installation, and only for reading
    landlock_tcp     it binds no TCP port
    landlock_scope   it reaches no abstract Unix socket and signals no process
    seccomp          it makes only the system calls of systemcalls.py

The order matters: seccomp forbids the calls that apply the others. Each mechanism is applied if the kernel and the
seccomp profile of the container allow it. The worker reports missing mechanisms to the main process, and serves.
"""

import os
import site
import sysconfig
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import fastroute.ext
from fastroute.ext.engine import confinement as kernel
from fastroute.ext.tls.context import load_libssl
from fastroute.publication import Confined
from fastroute.worker.systemcalls import CALLS, rules

_TCP, _SCOPE = 4, 6  # the first versions of Landlock with ports, and with scopes
_PATHS = ("stdlib", "platstdlib", "purelib", "platlib")


def confine() -> Confined:
    """Applies every mechanism that this kernel has. Returns the missing ones with the reasons."""
    with suppress(OSError):  # then no certificate can be loaded; the failure of each is reported
        load_libssl()  # it reads its configuration file
    missing: dict[str, str] = {}
    _try(missing, "no_new_privs", kernel.forbid_new_privileges)
    _try(missing, "capabilities", kernel.drop_capabilities)
    _try(missing, "not_dumpable", kernel.forbid_dumps)
    if kernel.SANITIZED:
        reason = "the modules are built with a sanitizer"
        return Confined({**missing, **dict.fromkeys(("landlock", "landlock_tcp", "landlock_scope", "seccomp"), reason)})
    _try(missing, "landlock", lambda: kernel.restrict_files(installation()))
    _add_parts_of_landlock(missing)
    limited = rules(os.getpid(), files_are_restricted="landlock" not in missing)
    _try(missing, "seccomp", lambda: kernel.filter_calls(list(CALLS), limited))
    return Confined(missing)


def installation() -> list[str]:
    """The folders of the Python installation and of this package: modules that are imported later, sources that a
    traceback shows."""
    users = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    folders = [*map(sysconfig.get_path, _PATHS), *site.getsitepackages(), *users]
    folders += [*fastroute.__path__, *fastroute.ext.__path__]
    return sorted({str(Path(folder).resolve()) for folder in folders if Path(folder).is_dir()})


def _try(missing: dict[str, str], kind: str, apply: Callable[[], None]) -> None:
    try:
        apply()
    except OSError as error:
        missing[kind] = error.strerror or str(error)


def _add_parts_of_landlock(missing: dict[str, str]) -> None:
    for kind, first in (("landlock_tcp", _TCP), ("landlock_scope", _SCOPE)):
        if "landlock" in missing:
            missing[kind] = missing["landlock"]
        elif (version := kernel.landlock_version()) < first:
            missing[kind] = f"Landlock of this kernel has version {version}, not {first}"
