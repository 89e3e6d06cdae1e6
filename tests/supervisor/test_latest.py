"""Which entries are kept, compared with a model that visits all of them."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fastroute.supervisor.latest import Latest

KEYS = st.tuples(st.sampled_from("abcd"), st.integers(0, 5))
STEPS = st.lists(st.tuples(st.sampled_from(("put", "put", "put", "pop")), KEYS), min_size=10, max_size=60)


class Model:
    def __init__(self, bound: int) -> None:
        self._bound = bound
        self.keys: list[tuple[str, int]] = []
        self._changed: list[str] = []  # namespaces, the one that changed last is the last

    def pop(self, key: tuple[str, int]) -> None:
        if key in self.keys:
            self.keys.remove(key)
            self._note(key[0])

    def put(self, key: tuple[str, int]) -> None:
        self.keys.append(key)
        self._note(key[0])
        if len(self.keys) > self._bound:
            sizes = Counter(owner for owner, _ in self.keys)
            largest = max(sizes.values())
            owner = next(each for each in self._changed if sizes[each] == largest)
            self.pop(next(each for each in self.keys if each[0] == owner))

    def _note(self, owner: str) -> None:
        self._changed = [each for each in self._changed if each != owner] + [owner]


@given(st.integers(1, 8), STEPS)
def test_the_namespace_with_the_most_gives_up_its_oldest_entry(bound: int, steps: list[tuple[str, tuple[str, int]]]):
    latest, model = Latest[tuple[str, int], int](bound, lambda key: key[0]), Model(bound)
    for number, (action, key) in enumerate(steps):
        assert (latest.pop(key) is not None) is (key in model.keys)
        model.pop(key)
        if action == "put":
            latest.put(key, number)
            model.put(key)
        assert sorted(key for key, _ in latest.items()) == sorted(model.keys)
        assert len(model.keys) <= bound
