"""Files that are broken, duplicated, unreadable or changed without a notification: the last good objects stay, with a
message."""

import errno
import os

import inotify_simple
import pytest
from resources.manifests import GATEWAY
from source.following import follow, route

from fastroute.errors import SourceError
from fastroute.source import directory as timing
from fastroute.source import scans
from fastroute.source.directory import Directory


async def test_broken_then_mended(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(route("a") + "---\n" + route("b"))
    async with follow(tmp_path) as seen:
        path.write_text(route("a", 0) + "---\n" + route("b", 1))
        await seen.until(lambda seen: seen.ports == {"a": 8080, "b": 1})
        where = f"{path}:14:11: HTTPRoute infra/a: spec.rules[0].backendRefs[0].port"
        assert seen.said == [f"{where}: must be an integer from 1 to 65535, got 0"]
        path.write_text("spec: [\n---\n" + route("b", 2))
        await seen.until(lambda seen: seen.ports == {"a": 8080, "b": 2})
        assert len(seen.said) == 1
        path.write_text(route("a", 3))
        await seen.until(lambda seen: seen.ports == {"a": 3})
        assert not seen.said


async def test_a_broken_object_at_the_start_is_left_out(tmp_path):
    (tmp_path / "a.yaml").write_text(route("a", 0) + "---\n" + route("b"))
    async with follow(tmp_path) as seen:
        assert seen.ports == {"b": 8080}
        assert len(seen.said) == 1


async def test_the_same_object_twice(tmp_path):
    one, two = tmp_path / "1.yaml", tmp_path / "2.yaml"
    two.write_text("# words\n" + route(port=2))
    async with follow(tmp_path) as seen:
        one.write_text(GATEWAY + "---\n" + route(port=1))
        await seen.until(lambda seen: seen.ports == {"fruits": 1})
        assert seen.said == [
            f"{two}:1: HTTPRoute infra/fruits: is also defined at {one}:12, which comes first and is used"
        ]
        one.write_text(GATEWAY + "---\n" + route(port=0))
        await seen.until(lambda seen: len(seen.said) == 2)
        assert seen.ports == {"fruits": 1}
        one.unlink()
        await seen.until(lambda seen: seen.ports == {"fruits": 2})
        assert not seen.said


async def test_the_same_object_twice_in_one_file_and_in_the_second_path(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "z.yaml").write_text(route(port=2))
    (tmp_path / "b" / "a.yaml").write_text(route(port=1) + "---\n" + route(port=3))
    async with follow(tmp_path / "b", tmp_path / "a") as seen:
        assert seen.ports == {"fruits": 1}
        assert [line.partition(": ")[0].removeprefix(str(tmp_path)) for line in seen.said] == [
            "/b/a.yaml:15",
            "/a/z.yaml:1",
        ]


async def test_a_file_that_becomes_unreadable_keeps_everything(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(route())
    async with follow(tmp_path) as seen:
        path.write_bytes(b"\xff" + route().encode())
        await seen.until(lambda seen: seen.said == [f"{path}:1: is not UTF-8 text"])
        assert seen.ports == {"fruits": 8080}
        path.unlink()
        path.symlink_to("a.yaml")  # a link to itself
        await seen.until(lambda seen: seen.said == [f"{path}: cannot be read: Too many levels of symbolic links"])
        assert seen.ports == {"fruits": 8080}


async def test_an_error_of_ours_takes_nothing_away(tmp_path, monkeypatch, caplog):
    path = tmp_path / "a.yaml"
    path.write_text(route())
    async with follow(tmp_path) as seen:
        with monkeypatch.context() as broken:
            broken.setattr(timing.manifest, "read", lambda *_: 1 / 0)
            path.write_text(route(port=1))
            said = f"{path}: cannot be read because of an error in fastroute (see its log)"
            await seen.until(lambda seen: seen.said == [said])
        assert seen.ports == {"fruits": 8080}
        assert "ZeroDivisionError" in caplog.text
        path.write_text(route(port=2))
        await seen.until(lambda seen: seen.ports == {"fruits": 2} and not seen.said)


async def test_what_no_notice_tells_is_found_by_looking(tmp_path, monkeypatch):
    """A write through another link to the file, in a folder that is not watched, causes no notification."""
    monkeypatch.setattr(scans, "RESCAN", 0.05)
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.yaml"
    path.write_text(route())
    async with follow(tmp_path / "in") as seen:
        os.link(path, tmp_path / "other")
        (tmp_path / "other").write_text(route(port=1))
        await seen.until(lambda seen: seen.ports == {"fruits": 1})


@pytest.mark.parametrize("refused", ["__init__", "add_watch"])
async def test_where_the_kernel_will_not_tell_looking_does(tmp_path, monkeypatch, caplog, refused):
    """The kernel's limits apply to all processes of a user, so the test simulates them."""

    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "limit")

    monkeypatch.setattr(inotify_simple.INotify, refused, refuse)
    monkeypatch.setattr(scans, "DEAF_RESCAN", 0.02)
    path = tmp_path / "a.yaml"
    path.write_text(route())
    async with follow(tmp_path) as seen:
        path.write_text(route(port=1))
        await seen.until(lambda seen: seen.ports == {"fruits": 1})
    [warning] = caplog.messages
    assert "No space left on device; raise the limit with: sysctl fs.inotify.max_user_" in warning


def test_a_missing_path_cannot_be_started_with(tmp_path):
    with pytest.raises(SourceError, match="No such file or directory"):
        Directory([tmp_path / "no"]).load()
