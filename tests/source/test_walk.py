"""Which links are followed, and how many files and folders are read."""

import math
import os

import pytest
import trio
from source.following import PATIENCE, follow, route
from source.test_folder import make, names

from fastroute.source import scans, walk
from fastroute.source.directory import Directory
from fastroute.source.walk import scan

OUTSIDE = "is a link to a folder outside of the given paths, so it is not read; give that folder as well"


def count_listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that are listed from now on."""
    listed: list[str] = []
    scandir = os.scandir

    def counting(folder: str):
        listed.append(folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", counting)
    return listed


def test_links_to_files_are_followed_wherever_they_lead(tmp_path):
    make(tmp_path, "outside/one.yaml", "in/plain.yaml", "in/.hidden/two.yaml")
    (tmp_path / "in" / "link.yaml").symlink_to("../outside/one.yaml")
    (tmp_path / "in" / "folder").symlink_to(".hidden")
    (tmp_path / "in" / "dangling.yaml").symlink_to("nowhere")
    found = scan([tmp_path / "in"])
    assert names(tmp_path / "in", tmp_path / "in") == ["folder/two.yaml", "link.yaml", "plain.yaml"]
    assert found.targets == {
        str(tmp_path / "outside/one.yaml"): {str(tmp_path / "in/link.yaml")},
        str(tmp_path / "in/nowhere"): {str(tmp_path / "in/dangling.yaml")},
    }
    assert not found.unreadable


def test_a_link_to_a_folder_around_it_is_not_followed(tmp_path):
    make(tmp_path, "a/x.yaml")
    (tmp_path / "a" / "again").symlink_to("..")
    (tmp_path / "a" / "self").symlink_to(".")
    assert names(tmp_path) == ["a/x.yaml"]


def test_folders_that_link_to_each_other_are_read_once(tmp_path, monkeypatch):
    """Each of 9 folders has links to the other 8: there are more than 100,000 paths."""
    for here in range(9):
        make(tmp_path, f"att/d{here}/x.yaml")
        for there in range(9):
            if there != here:
                (tmp_path / f"att/d{here}/l{there}").symlink_to(f"../d{there}")
    listed = count_listed(monkeypatch)
    found = scan([tmp_path])
    assert len(listed) == len(set(listed)) == 11
    assert set(found.files) == {str(tmp_path / f"att/d{number}/x.yaml") for number in range(9)}
    assert not found.unreadable


def test_a_hidden_folder_is_read_through_the_first_of_its_links(tmp_path):
    make(tmp_path, ".real/x.yaml", ".real/deep/y.yaml")
    for name in ("c", "b", "a"):
        (tmp_path / name).symlink_to(".real")
    (tmp_path / "d").symlink_to(".real/deep")
    assert names(tmp_path) == ["a/x.yaml", "d/y.yaml"]


@pytest.mark.parametrize("target", ["/", "/usr", "/proc", "/proc/self", "../../outside", "chain"])
def test_a_link_to_a_folder_outside_is_refused(tmp_path, monkeypatch, target):
    make(tmp_path, "outside/x.yaml", "in/b/y.yaml")
    (tmp_path / "in" / "b" / "tree").symlink_to(target)
    (tmp_path / "in" / "b" / "chain").symlink_to("../../outside")
    listed = count_listed(monkeypatch)
    found = scan([tmp_path / "in"])
    assert listed == [str(tmp_path / "in"), str(tmp_path / "in/b")]
    assert found.unreadable == {str(tmp_path / "in/b/tree"): OUTSIDE, str(tmp_path / "in/b/chain"): OUTSIDE}


def test_a_refused_link_is_a_problem(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "a.yaml").write_text(route("a"))
    (tmp_path / "in" / "b").symlink_to("../out")
    directory = Directory([tmp_path / "in"])
    directory.load()
    assert [str(problem) for problem in directory.store.problems] == [f"{tmp_path}/in/b: {OUTSIDE}"]
    both = Directory([tmp_path / "in", tmp_path / "out"])
    both.load()
    assert not both.store.problems


def test_a_given_path_that_is_a_link_is_followed(tmp_path):
    make(tmp_path, "real/a/x.yaml")
    (tmp_path / "current").symlink_to("real")
    (tmp_path / "real" / "b").symlink_to(tmp_path / "real" / "a")
    assert names(tmp_path, tmp_path / "current") == ["current/a/x.yaml"]


@pytest.mark.parametrize("link", ["link", "link.yaml"])
async def test_a_link_that_begins_to_lead_outside_is_not_read_any_more(tmp_path, monkeypatch, link):
    monkeypatch.setattr(scans, "RESCAN", math.inf)
    for folder in ("in/.hidden", "out"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.yaml").write_text(route("a", 1 + len(folder)))
    (tmp_path / "in" / link).symlink_to(".hidden")
    async with follow(tmp_path / "in") as seen:
        assert seen.ports == {"a": 11}
        (tmp_path / "new").symlink_to("../out")
        (tmp_path / "new").rename(tmp_path / "in" / link)
        await seen.until(lambda seen: seen.ports == {} and seen.said == [f"{tmp_path}/in/{link}: {OUTSIDE}"])
        (tmp_path / "in" / link).unlink()
        await seen.until(lambda seen: not seen.said)


async def test_a_folder_that_has_two_paths_after_a_change_is_read_once(tmp_path):
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "a.yaml").write_text(route("a"))
    (tmp_path / "link").symlink_to("b")
    (tmp_path / "b").symlink_to(".hidden")
    async with follow(tmp_path) as seen:
        assert list(seen.directory._manifests) == [f"{tmp_path}/b/a.yaml"]
        (tmp_path / "a").symlink_to(".hidden")
        (tmp_path / "other.yaml").write_text(route("other"))
        await seen.until(lambda seen: set(seen.ports) == {"a", "other"})
        with trio.fail_after(PATIENCE):
            while str(tmp_path / "b" / "a.yaml") in seen.directory._manifests:  # noqa: ASYNC110 (no event reports it)
                await trio.sleep(0.01)
        assert not seen.said


def test_too_deep_folders_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(walk, "DEPTH", 2)
    make(tmp_path, "a/b/x.yaml", "a/b/c/y.yaml")
    assert names(tmp_path) == ["a/b/x.yaml"]
    reason = "is not read: it is more than 2 folders below its given path"
    assert scan([tmp_path]).unreadable == {str(tmp_path / "a/b/c"): reason}
    assert names(tmp_path, tmp_path, tmp_path / "a") == ["a/b/x.yaml", "a/b/c/y.yaml"]
    assert not scan([tmp_path, tmp_path / "a"]).unreadable


def test_the_top_level_folder_with_too_many_files_loses_them(tmp_path, monkeypatch):
    monkeypatch.setattr(walk, "FILES", 20)
    make(tmp_path, "z/1.yaml", "z/deep/2.yaml", *(f"a/deep/{number:02}.yaml" for number in range(50)))
    found = scan([tmp_path])
    assert set(names(tmp_path)) == {"z/1.yaml", "z/deep/2.yaml", *(f"a/deep/{number:02}.yaml" for number in range(18))}
    reason = "is not read completely: there are more than 20 files below the given paths"
    assert found.unreadable == {str(tmp_path / "a"): reason}
    given = [tmp_path, tmp_path / "a/deep/40.yaml"]
    assert str(given[1]) in scan(given).files


@pytest.mark.parametrize("kind", ["folders", "links"])
def test_the_top_level_folder_with_too_many_folders_loses_them(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(walk, "FOLDERS", 20)
    make(tmp_path, "z/y/x/1.yaml", "a/0/a.yaml")
    for number in range(1, 50):
        if kind == "folders":
            make(tmp_path, f"a/{number}/a.yaml")
        else:
            (tmp_path / f"a/{number}").symlink_to("0")
    found = scan([tmp_path])
    assert str(tmp_path / "z/y/x/1.yaml") in found.files
    assert len(found.files) == (1 + 16 if kind == "folders" else 2)
    reason = "is not read completely: there are more than 20 folders below the given paths"
    assert found.unreadable == {str(tmp_path / "a"): reason}


def test_many_refused_links_are_few_problems(tmp_path):
    (tmp_path / "a").mkdir()
    for number in range(50):
        (tmp_path / "a" / f"{number:02}").symlink_to("/usr")
    found = scan([tmp_path])
    assert len(found.unreadable) == walk.REFUSED + 1
    reason = "is not read completely: 40 more folders and links in it are refused"
    assert found.unreadable[str(tmp_path / "a")] == reason


async def test_a_file_above_the_limit_is_read_when_another_one_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(walk, "FILES", 2)
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text(route(name))
    async with follow(tmp_path) as seen:
        (tmp_path / "c.yaml").write_text(route("c"))
        await seen.until(lambda seen: len(seen.said) == 1)
        assert seen.ports == {"a": 8080, "b": 8080}
        (tmp_path / "c.yaml").write_text(route("c", 1))
        (tmp_path / "a.yaml").unlink()
        await seen.until(lambda seen: seen.ports == {"b": 8080, "c": 1} and not seen.said)
