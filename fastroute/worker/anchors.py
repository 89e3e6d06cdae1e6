"""system_anchors(), has_system_anchors(): the CA certificates of the operating system, as OpenSSL finds them.

A worker reads them before it is confined: later it can open no such file. It loads them when a backend first needs
them.
"""

import ssl
from contextlib import suppress
from pathlib import Path

MOST = 4 * 1024 * 1024  # bytes
BEGIN = b"-----BEGIN CERTIFICATE-----"
_USUAL = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


def system_anchors() -> bytes:
    """As PEM. The file that SSL_CERT_FILE names, or else OpenSSL's own, or else the usual one of the distribution; and
    the files of the folder that SSL_CERT_DIR names. At most MOST bytes; empty if no such file can be read."""
    paths = ssl.get_default_verify_paths()  # knows the variables
    found = _first([path for path in (paths.cafile, *_USUAL) if path])
    if paths.capath and (paths.capath != paths.openssl_capath or not found):
        found += _folder(Path(paths.capath), MOST - len(found))
    return found


def has_system_anchors() -> bool:
    """Whether there are any; OpenSSL may still reject them."""
    return BEGIN in system_anchors()


def _first(paths: list[str]) -> bytes:
    for path in paths:
        with suppress(OSError):
            return _read(Path(path), MOST)
    return b""


def _folder(folder: Path, room: int) -> bytes:
    """Each file once: a folder for OpenSSL also has links to them."""
    found: dict[Path, bytes] = {}
    with suppress(OSError):
        for path in sorted({path.resolve() for path in folder.iterdir()}):
            with suppress(OSError):
                if BEGIN in (pem := _read(path, room)):
                    found[path] = pem
                    room -= len(pem) + 1
    return b"\n".join(found.values())


def _read(path: Path, room: int) -> bytes:
    """OSError: it cannot be read, or is larger than `room`."""
    if path.stat().st_size > room:
        raise OSError("too large")
    return path.read_bytes()
