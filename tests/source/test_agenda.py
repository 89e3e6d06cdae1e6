"""Which file is read next, and how long what was read waits for other files."""

from fastroute.resources.meta import Key
from fastroute.source.agenda import HOLD, NEVER_READ, Agenda, Bursts, Done, Errand, Owner, Waiting


def owner(path: str) -> Owner:
    folder, _, name = path.partition("/")
    return folder, NEVER_READ if name.startswith("new") else folder


def errand(path: str, since: float = 0.0, closed: bool = False) -> Errand:
    return Errand(path, closed, since)


def test_owners_take_turns() -> None:
    agenda = Agenda(owner)
    for number in range(1_000):
        agenda.add(errand(f"a/{number}"))
    agenda.add(errand("z/0"))
    taken = [one.path for _ in range(3) if (one := agenda.take())]
    assert taken == ["a/0", "z/0", "a/1"]


def test_a_file_keeps_its_place_and_what_is_known_of_it() -> None:
    agenda = Agenda(owner)
    agenda.add(errand("a/0", 1.0, closed=True))
    agenda.add(errand("a/1", 2.0))
    agenda.add(errand("a/0", 3.0))
    assert list(agenda.waiting) == [Waiting(("a", "a"), 1.0)]
    assert agenda.take() == errand("a/0", 1.0, closed=True)
    assert agenda.take(lambda path: path != "a/1") is None
    assert agenda.take() == errand("a/1", 2.0)
    assert not agenda


def done(path: str, since: float, read: float) -> Done:
    return Done(Waiting(owner(path), since), {("HTTPRoute", Key("n", path))}, read)


def paths(found: list[Done]) -> list[str]:
    return [key.name for one in found for _, key in one.touched]


def test_what_was_read_waits_for_the_rest_of_the_burst_and_no_longer() -> None:
    bursts = Bursts()
    bursts.add(done("a/0", 1.0, 1.1))
    bursts.add(done("z/0", 1.0, 1.1))
    assert bursts.next == 1.1 + HOLD
    same, later = Waiting(owner("a/1"), 1.0), Waiting(owner("a/2"), 1.05)
    assert paths(bursts.due(1.2, [same])) == ["z/0"]
    assert paths(bursts.due(1.2, [later])) == ["a/0"]
    bursts.add(done("a/0", 1.0, 1.1))
    assert paths(bursts.due(1.1 + HOLD, [same])) == ["a/0"]
    assert bursts.due(9.0, []) == []


def test_what_was_read_waits_for_new_files_that_were_noticed_before() -> None:
    """An object may move to a new file."""
    bursts = Bursts()
    bursts.add(done("a/0", 1.0, 1.1))
    assert bursts.due(1.2, [Waiting(owner("z/new"), 1.0)]) == []
    assert paths(bursts.due(1.2, [Waiting(owner("z/new"), 1.1)])) == ["a/0"]
