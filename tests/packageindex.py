"""A package index on 127.0.0.1 that offers every locked package, each with a far newer release.

It simulates the index of any later day, when a newer release of every package exists. The newer releases are empty
wheels that contain only metadata, with the same dependencies as the locked release.
"""

import base64
import hashlib
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NEWER = "9999.0"


def downloaded(lock: Path) -> Path:
    """A folder with the wheels that a lock file lists for this interpreter, kept in .cache/wheels."""
    content = lock.read_bytes() + sys.version.encode()
    folder = ROOT / ".cache/wheels" / hashlib.sha256(content).hexdigest()[:16]
    if not folder.exists():
        new = folder.with_suffix(".new")
        words = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(lock)]
        subprocess.run([sys.executable, "-m", "pip", *words, "--dest", str(new)], check=True)
        new.rename(folder)
    return folder


def write_newer(wheel: Path, folder: Path) -> Path:
    """An empty wheel of the same package, with version NEWER and the same dependencies."""
    name = wheel.name.split("-")[0]
    with zipfile.ZipFile(wheel) as archive:
        [path] = [one for one in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", one)]
        metadata = archive.read(path).decode()
    metadata = re.sub(r"^Version: .*$", f"Version: {NEWER}", metadata, count=1, flags=re.MULTILINE)
    about = f"{name}-{NEWER}.dist-info"
    files = {
        f"{about}/METADATA": metadata.encode(),
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nGenerator: fastroute\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{about}/RECORD"] = "".join(
        [*(f"{each},{_digest(content)},{len(content)}\n" for each, content in files.items()), f"{about}/RECORD,,\n"]
    ).encode()
    newer = folder / f"{name}-{NEWER}-py3-none-any.whl"
    with zipfile.ZipFile(newer, "w") as archive:
        for each, content in files.items():
            archive.writestr(each, content)
    return newer


def _digest(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def write_index(wheels: Path, folder: Path) -> None:
    """Writes simple/NAME/index.html for every wheel in `wheels`, which lists the newer release too."""
    for wheel in wheels.glob("*.whl"):
        name = re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()
        page = folder / "simple" / name
        page.mkdir(parents=True)
        (page / wheel.name).hardlink_to(wheel)
        write_newer(wheel, page)
        links = (f'<a href="{one.name}">{one.name}</a><br>' for one in page.glob("*.whl"))
        (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL of the index in `folder` that `write_index` wrote."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple/"
        finally:
            server.shutdown()
            thread.join()
