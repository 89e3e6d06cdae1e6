"""Which file is read next, and how long what was read waits for other files."""

import math

from fastroute.resources.meta import Key
from fastroute.source.agenda import HOLD, HOLD_FOR_NEW, NEVER_READ, Agenda, Bursts, Done, Errand, Owner, Waiting


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
    assert (agenda.since(("a", "a")), agenda.since(("z", "z")), agenda.since_new) == (1.0, math.inf, math.inf)
    assert agenda.take() == errand("a/0", 1.0, closed=True)
    assert agenda.take(lambda path: path != "a/1") is None
    assert agenda.take() == errand("a/1", 2.0)
    assert not agenda


def test_the_first_file_that_was_never_read_is_known() -> None:
    agenda = Agenda(owner)
    for number in range(3):
        agenda.add(errand(f"a/new{number}", float(number)))
    assert agenda.since_new == 0.0
    agenda.take()
    assert agenda.since_new == 1.0


def done(path: str, since: float, read: float, *, removes: bool = False) -> Done:
    return Done(Waiting(owner(path), since), {("HTTPRoute", Key("n", path))}, removes, read)


def due(bursts: Bursts, now: float, *waiting: tuple[str, float]) -> list[str]:
    """The files that are due while these wait."""
    agenda = Agenda(owner)
    for path, since in waiting:
        agenda.add(errand(path, since))
    return [key.name for one in bursts.due(now, agenda.since, agenda.since_new) for _, key in one.touched]


def test_what_was_read_waits_for_the_rest_of_the_burst_and_no_longer() -> None:
    bursts = Bursts()
    bursts.add(done("a/0", 1.0, 1.1))
    bursts.add(done("z/0", 1.0, 1.1))
    assert due(bursts, 1.2, ("a/1", 1.0)) == ["z/0"]
    assert bursts.next == 1.1 + HOLD
    assert due(bursts, 1.2, ("a/2", 1.05)) == ["a/0"]
    bursts.add(done("a/0", 1.0, 1.1))
    assert due(bursts, 1.1 + HOLD, ("a/1", 1.0)) == ["a/0"]
    assert due(bursts, 9.0) == []
    assert bursts.next == math.inf


def test_what_was_read_waits_a_moment_for_new_files_that_were_noticed_before() -> None:
    """They may belong to its owner, or to another one that has thousands of them."""
    bursts = Bursts()
    bursts.add(done("a/0", 1.0, 1.1))
    assert due(bursts, 1.1, ("z/new", 1.0)) == []
    assert bursts.next == 1.1 + HOLD_FOR_NEW
    assert due(bursts, 1.1, ("z/new", 1.05)) == ["a/0"]
    bursts.add(done("a/0", 1.0, 1.1))
    assert due(bursts, 1.1 + HOLD_FOR_NEW, ("z/new", 1.0)) == ["a/0"]


def test_an_object_that_may_have_moved_waits_longer_for_new_files() -> None:
    bursts = Bursts()
    bursts.add(done("a/0", 1.0, 1.1, removes=True))
    assert due(bursts, 1.1 + HOLD_FOR_NEW, ("z/new", 1.0)) == []
    assert bursts.next == 1.1 + HOLD
    assert due(bursts, 1.1 + HOLD, ("z/new", 1.0)) == ["a/0"]


def test_it_costs_the_same_to_find_out_what_is_due_however_much_waits() -> None:
    """2,000 files that were read while others of their owner are not were looked at again after each round."""
    asked = 0

    def since(owner: Owner) -> float:
        nonlocal asked
        asked += 1
        return 1.0

    bursts = Bursts()
    for number in range(2_000):
        bursts.add(done(f"a/{number}", 1.0, 1.1))
        assert bursts.due(1.2, since, math.inf) == []
    assert asked == 2_000
    assert len(bursts.due(1.1 + HOLD, since, math.inf)) == 2_000
