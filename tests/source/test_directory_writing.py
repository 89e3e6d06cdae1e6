"""Files that are being written: partial content is never read, and no object disappears temporarily."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest
import trio
import trio.testing
from source.following import PATIENCE, QUIET, Following, follow, route

from fastroute.source import directory as timing
from fastroute.source import doubts
from fastroute.source.directory import Directory


async def test_a_file_being_written_is_not_read_until_it_is_closed(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(route("a") + "---\n" + route("b"))
    async with follow(tmp_path) as seen:
        with path.open("w") as file:
            await trio.sleep(QUIET)
            file.write(route("a", 1))
            file.flush()
            await trio.sleep(QUIET)
            assert seen.ports == {"a": 8080, "b": 8080}
            assert seen.passes == 0
            file.write("---\n" + route("b", 1))
        await seen.until(lambda seen: seen.ports == {"a": 1, "b": 1})
        assert seen.passes == 1


async def test_a_new_file_being_written_waits_too_and_holds_up_nobody(tmp_path):
    async with follow(tmp_path) as seen:
        with (tmp_path / "a.yaml").open("w") as file:
            file.write(route("a"))
            file.flush()
            (tmp_path / "b.yaml").write_text(route("b"))
            await seen.until(lambda seen: seen.ports == {"b": 8080})
        await seen.until(lambda seen: set(seen.ports) == {"a", "b"})


def refuse_leases(descriptor: int, command: int, argument: int = 0) -> int:
    if command == fcntl.F_SETLEASE:
        raise PermissionError(errno.EACCES, "no lease")
    return 0


async def test_without_leases_notices_tell_who_writes(tmp_path, monkeypatch):
    """Another user's file cannot be leased, and a notification for another file causes a read during the write."""
    monkeypatch.setattr(fcntl, "fcntl", refuse_leases)
    path = tmp_path / "a.yaml"
    path.write_text(route("a") + "---\n" + route("b"))
    async with follow(tmp_path) as seen:
        with path.open("w") as file:
            file.write(route("a", 1))
            file.flush()
            await trio.sleep(QUIET)
            (tmp_path / "folder").mkdir()
            await trio.sleep(QUIET)
            assert seen.ports == {"a": 8080, "b": 8080}
            file.write("---\n" + route("b", 1))
        await seen.until(lambda seen: seen.ports == {"a": 1, "b": 1})
        assert seen.states == [{"a": 1, "b": 1}]


def test_the_first_pass_waits_for_what_is_being_written(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "FIRST_WAIT", PATIENCE)
    path = tmp_path / "a.yaml"
    path.write_text(route("a"))
    command = "import sys, time; file = open(sys.argv[1], 'a'); time.sleep(0.2); file.write(sys.stdin.read())"
    writer = subprocess.Popen([sys.executable, "-S", "-c", command, path], stdin=subprocess.PIPE)
    writer.stdin.write(("---\n" + route("b")).encode())
    writer.stdin.close()
    while not isinstance(timing.content.read(str(path)), timing.Unfinished):
        assert writer.poll() is None
    directory = Directory([tmp_path])
    directory.load()
    assert set(Following(directory).ports) == {"a", "b"}
    assert writer.wait() == 0


def test_the_first_pass_does_not_wait_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "FIRST_WAIT", 0.02)
    with (tmp_path / "a.yaml").open("w") as file:
        file.write(route())
        file.flush()
        directory = Directory([tmp_path])
        directory.load()
    assert Following(directory).ports == {"fruits": 8080}


READ = pytest.mark.parametrize("at_once", [timing.AT_ONCE, 0.0], ids=["at once", "apart"])


@READ
async def test_a_file_held_open_for_long_is_read_when_it_rests(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(timing, "AT_ONCE", at_once)
    monkeypatch.setattr(timing, "HELD_OPEN", 0.05)
    async with follow(tmp_path) as seen:
        with (tmp_path / "a.yaml").open("w") as file:
            file.write(route())
            file.flush()
            await seen.until(lambda seen: seen.ports == {"fruits": 8080})


WRITER = """
import sys
path, pause = sys.argv[1], float(sys.argv[2])
text = sys.stdin.read()
import time
for version in range(9000, 9040):
    with open(path, "w", buffering=1) as file:
        for line in text.replace("8080", str(version)).splitlines(keepends=True):
            file.write(line)
    time.sleep(pause)
"""


@pytest.mark.parametrize("pause", [0.0, 0.004])
async def test_no_state_between_two_versions_is_ever_seen(tmp_path, pause):
    """Another process rewrites two routes line by line: after each pass both routes exist, in the same version."""
    path = tmp_path / "a.yaml"
    text = route("a") + "---\n" + route("b")
    path.write_text(text)
    async with follow(tmp_path) as seen:
        process = await trio.run_process([sys.executable, "-c", WRITER, path, str(pause)], stdin=text.encode())
        assert process.returncode == 0
        await seen.until(lambda seen: seen.ports == {"a": 9039, "b": 9039})
        versions = [state["a"] for state in seen.states]
        assert seen.states == [{"a": version, "b": version} for version in versions]
        assert versions == sorted(versions)


async def test_a_file_removed_and_written_anew_never_takes_its_routes_away(tmp_path, monkeypatch):
    """vim (which first moves the old file away), git and `sed -i` without rename write like this. (A busy machine is
    slower.)"""
    monkeypatch.setattr(doubts, "GRACE", PATIENCE)
    path = tmp_path / "a.yaml"
    path.write_text(route())
    async with follow(tmp_path) as seen:
        for port in range(1, 30):
            path.rename(tmp_path / "a.yaml~")
            await trio.sleep(0.001)
            path.write_text(route(port=port))
            await trio.sleep(0.002)
            assert set(seen.ports) == {"fruits"}
        await seen.until(lambda seen: seen.ports == {"fruits": 29})
        path.write_text("")
        await trio.sleep(0.001)
        path.write_text(route(port=1))
        await seen.until(lambda seen: seen.ports == {"fruits": 1})


async def test_an_emptied_file_is_believed_after_a_moment(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(route())
    async with follow(tmp_path) as seen:
        path.write_text("")
        await seen.until(lambda seen: seen.ports == {})


async def test_a_command_of_the_shell_that_is_slow_to_begin(tmp_path):
    """`(sleep 0.1; cat) > file`: the shell truncates the file long before it writes anything."""
    path = tmp_path / "a.yaml"
    path.write_text(route())
    async with follow(tmp_path) as seen:
        command = ["sh", "-c", f"(sleep 0.1; printf '%s' \"$TEXT\") > {path}"]
        await trio.run_process(command, env={**os.environ, "TEXT": route(port=1)})
        await seen.until(lambda seen: seen.ports == {"fruits": 1})
        assert seen.states == [{"fruits": 1}]
