"""The file of the access log: how it is opened, opened again, and who may read it."""

import os
import stat

import pytest

from fastroute.supervisor import logfile
from fastroute.supervisor.logfile import LogFile, open_log


def test_a_new_file_can_be_read_by_owner_and_group_only(tmp_path):
    path = tmp_path / "log"
    before = os.umask(0)
    try:
        os.close(open_log(str(path)))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_that_exists_keeps_its_mode_and_content(tmp_path):
    path = tmp_path / "log"
    path.write_text("old\n")
    path.chmod(0o600)
    fd = open_log(str(path))
    os.write(fd, b"new\n")
    os.close(fd)
    assert path.read_text() == "old\nnew\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_reopening_keeps_the_number_of_the_descriptor(tmp_path):
    path = tmp_path / "log"
    log = LogFile(str(path))
    fd = log.fd
    os.write(fd, b"1")
    path.rename(tmp_path / "old")
    assert log.reopen() is None
    assert log.fd == fd
    assert not os.get_inheritable(fd)
    os.write(fd, b"2")
    log.close()
    assert ((tmp_path / "old").read_text(), path.read_text()) == ("1", "2")


def test_a_path_that_cannot_be_opened_again_leaves_the_old_file(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    log = LogFile(str(folder / "log"))
    folder.rename(tmp_path / "moved")
    trouble = log.reopen()
    assert trouble is not None
    assert "No such file or directory; the workers continue to write to the old file" in trouble
    os.write(log.fd, b"1")
    log.close()
    assert (tmp_path / "moved" / "log").read_text() == "1"


def test_stdout_is_opened_by_a_description_of_its_own(monkeypatch):
    reader, writer = os.pipe()
    saved = os.dup(1)
    try:
        os.dup2(writer, 1)
        fd = open_log("-")
        assert not os.get_blocking(fd)
        assert os.get_blocking(1)
        monkeypatch.setattr(logfile.os, "open", _refuse)
        copy = open_log("-")
    finally:
        os.dup2(saved, 1)
    for each in (fd, copy):
        os.write(each, b"x")
        os.close(each)
    assert os.read(reader, 2) == b"xx"
    for each in (reader, writer, saved):
        os.close(each)


def _refuse(*args):
    raise OSError


def test_a_named_pipe_that_nobody_reads_is_an_error_and_no_wait(tmp_path):
    pipe = tmp_path / "log"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="No such device or address"):
        open_log(str(pipe))
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fd = open_log(str(pipe))
    assert not os.get_blocking(fd)
    os.close(fd)
    os.close(reader)
