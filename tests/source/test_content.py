"""Complete files, and files that are still being written."""

import errno
import fcntl
import os
import subprocess
import sys
import time

import pytest

from fastroute.source import content
from fastroute.source.content import Missing, Unfinished, Unreadable, Whole, read


def test_a_file_that_nobody_writes_is_whole(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"content")
    seen = read(str(path))
    assert isinstance(seen, Whole)
    assert seen.content == b"content"
    assert seen.stamp.size == 7


def test_a_file_that_is_open_for_writing_is_not(tmp_path):
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.write(b"half")
        file.flush()
        assert isinstance(read(str(path), closed=True), Unfinished)
        assert isinstance(read(str(path), patient=False), Whole)
    assert isinstance(read(str(path)), Whole)


def test_a_writer_that_comes_while_we_read_waits(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(b"old" * 100_000)
    fdopen = os.fdopen
    writers = []

    def slow(descriptor, mode):
        writers.append(subprocess.Popen(["sh", "-c", f"printf new > {path}"]))
        time.sleep(0.05)
        return fdopen(descriptor, mode)

    monkeypatch.setattr(os, "fdopen", slow)
    seen = read(str(path))
    assert isinstance(seen, Whole)
    assert seen.content == b"old" * 100_000
    assert writers[0].wait() == 0
    assert path.read_bytes() == b"new"


def test_readers_do_not_matter(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"a")
    with path.open("rb"):
        assert isinstance(read(str(path)), Whole)


def test_what_cannot_be_read_says_why(tmp_path):
    assert read(str(tmp_path / "x")) == Missing()
    assert read(str(tmp_path)) == Missing()
    os.mkfifo(tmp_path / "pipe")
    assert read(str(tmp_path / "pipe")) == Unreadable("not a regular file")
    (tmp_path / "loop").symlink_to("loop")
    assert read(str(tmp_path / "loop")) == Unreadable("Too many levels of symbolic links")


def test_where_the_system_will_not_tell_age_decides(tmp_path, monkeypatch):
    """The kernel refuses leases on other users' files and on some file systems. The test simulates that."""

    def refuse(descriptor: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_SETLEASE:
            raise PermissionError(errno.EACCES, "no lease")
        return 0

    path = tmp_path / "x"
    path.write_bytes(b"a")
    monkeypatch.setattr(fcntl, "fcntl", refuse)
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 3_600_000_000_000))  # just changed, on slow machines too
    assert isinstance(read(str(path)), Unfinished)
    assert isinstance(read(str(path), closed=True), Whole)
    os.utime(path, ns=(time.time_ns(), time.time_ns() - 20_000_000))
    assert isinstance(read(str(path)), Whole)


WRITER = """
import os, sys
path, size = sys.argv[1], int(sys.argv[2])
for number in range(300):
    with open(path, "w", buffering=1) as file:
        for _ in range(size):
            file.write(f"{number}\\n")
"""


@pytest.mark.parametrize("size", [1, 40])
def test_a_half_written_file_is_never_seen(tmp_path, size):
    """Another process truncates and rewrites the file line by line, repeatedly: only complete content is read."""
    path = tmp_path / "x"
    path.write_text("start\n" * size)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path, str(size)])
    seen = set()
    while writer.poll() is None:
        content = read(str(path))
        if isinstance(content, Whole):
            lines = content.content.split(b"\n")
            assert len(lines) == size + 1
            assert len(set(lines[:-1])) == 1
            seen.add(lines[0])
    assert writer.returncode == 0
    assert seen


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    """Its size is known, or it has more than that, as in /proc."""
    monkeypatch.setattr(content, "MOST", 100)
    path = tmp_path / "x"
    path.write_bytes(b"a" * 100)
    assert isinstance(read(str(path)), Whole)
    path.write_bytes(b"a" * 101)
    told = Unreadable("it has more than 32 MiB; divide it into several files")
    assert read(str(path)) == told
    assert read(str(path), patient=False) == told
    assert read("/proc/self/status") == told
