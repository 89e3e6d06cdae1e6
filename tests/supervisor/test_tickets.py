"""Session ticket keys: distributed before they are used, kept as long as tickets encrypted with them are valid."""

from fastroute.ext.tls.ticket import KEY_SIZE as ENGINE_KEY_SIZE
from fastroute.supervisor.tickets import KEY_SIZE, ROTATION, TICKET_LIFE, Tickets


def test_a_key_is_known_before_it_is_used_and_as_long_as_its_tickets_are_good() -> None:
    tickets = Tickets()
    history = [tickets.keys]
    for _ in range(6):
        tickets.rotate()
        history.append(tickets.keys)
    for number, keys in enumerate(history[:-1]):
        assert history[number + 1][0] in keys  # the next key to be used is already distributed
        assert history[number + 1][0] != keys[0]
    made_with = history[2][0]
    known = [number for number, keys in enumerate(history) if made_with in keys]
    assert known[0] == 1
    assert (known[-1] + 1 - 3) * ROTATION >= TICKET_LIFE  # it was used until the third rotation
    assert made_with not in history[-1]


def test_keys_are_of_the_size_that_the_engine_takes() -> None:
    assert KEY_SIZE == ENGINE_KEY_SIZE
    assert {len(key) for key in Tickets().keys} == {KEY_SIZE}
