"""The text that makes a regular expression cost most: RE2 builds states and transitions when a text first needs them.

`expensive_text` walks through the automaton of fastroute/graph/pattern.py and takes transitions that it has not taken,
the nearest ones first.
"""

from collections import deque

from fastroute.graph.pattern import (
    ALL_ASCII,
    BEGIN,
    BOUNDARY,
    END,
    LINE_BEGIN,
    LINE_END,
    NO_BOUNDARY,
    WORD,
    Nfa,
    Steps,
    members,
    read_pattern,
)

WIDE = "\u00a9\u20ac\U0001f600"  # one of each length in UTF-8
START = ""

State = tuple[frozenset[int], str]  # positions in the pattern, and the character before


def expensive_text(pattern: str, most: int) -> tuple[bytes, int]:
    """A text of at most that many bytes, and how many distinct transitions it takes."""
    nfa = read_pattern(pattern, Steps())
    assert nfa is not None
    automaton = _Automaton(nfa)
    fresh = {state: dict(steps) for state, steps in automaton.steps.items()}
    at, size, taken = automaton.first, 0, 0
    text: list[str] = []
    while size < most:
        way = _nearest(automaton.steps, fresh, at)
        if not way:
            way = next(([(character, to)] for character, to in automaton.steps[at].items() if to != at), [])
        if not way:
            way = [next(iter(automaton.steps[at].items()), ("", at))]
        for character, to in way:
            taken += fresh[at].pop(character, None) is not None
            text.append(character)
            size += len(character.encode()) or most
            at = to
    return "".join(text).encode()[:most], taken


def _nearest(steps: "dict[State, dict[str, State]]", fresh: "dict[State, dict[str, State]]", at: State):  # type: ignore[no-untyped-def]
    """The shortest way that ends with a fresh transition; if possible, one to a state that has more of them."""
    came: dict[State, tuple[State, str] | None] = {at: None}
    waiting = deque([at])
    while waiting:
        state = waiting.popleft()
        if fresh[state]:
            best = max(fresh[state].items(), key=lambda pair: (bool(fresh[pair[1]]), pair[1] != state))
            way = [best]
            while (back := came[state]) is not None:
                way.append((back[1], state))
                state = back[0]
            return way[::-1]
        for character, to in steps[state].items():
            if to not in came:
                came[to] = state, character
                waiting.append(to)
    return []


class _Automaton:
    """`steps`: from each state, by a character of each class."""

    def __init__(self, nfa: Nfa) -> None:
        self._nodes = nfa.nodes
        self._out = [frozenset(members(node.out)) for node in nfa.nodes]
        self._asserting = frozenset(index for index, node in enumerate(nfa.nodes) if node.assertion is not None)
        characters = _characters(nfa, bool(self._asserting))
        start = frozenset(members(nfa.start))
        self.first: State = (start, START if start & self._asserting else "-")
        self.steps: dict[State, dict[str, State]] = {self.first: {}}
        waiting = [self.first]
        while waiting:
            state = waiting.pop()
            for character in characters:
                to = self._after(state, character)
                if not to[0]:
                    continue
                self.steps[state][character] = to
                if to not in self.steps:
                    self.steps[to] = {}
                    waiting.append(to)

    def _after(self, state: State, character: str) -> State:
        nodes, last = state
        while True:
            more = nodes.union(*(self._out[i] for i in nodes & self._asserting if self._holds(i, last, character)))
            if more == nodes:
                break
            nodes = more
        read = ((self._nodes[i].chars, self._out[i]) for i in nodes)
        after = frozenset[int]().union(*(out for accepted, out in read if accepted and accepted.has(character)))
        before = (
            ("w" if WORD.has(character) else "\n" if character == "\n" else "-") if after & self._asserting else "-"
        )
        return after, before

    def _holds(self, index: int, last: str, coming: str) -> bool:
        assertion = self._nodes[index].assertion
        if assertion in (BOUNDARY, NO_BOUNDARY):
            return ((last == "w") != WORD.has(coming)) == (assertion == BOUNDARY)
        begins = last == START
        return {
            BEGIN: begins,
            END: False,
            LINE_BEGIN: begins or last == "\n",
            LINE_END: coming == "\n",
        }[assertion or BEGIN]


def _characters(nfa: Nfa, asserting: bool) -> list[str]:
    """One of each class that the pattern distinguishes."""
    sets = {node.chars for node in nfa.nodes if node.chars is not None}
    parts = [ALL_ASCII]
    for ascii_ in {set_.ascii for set_ in sets} | ({WORD.ascii, 1 << 10} if asserting else set()):
        parts = [piece for part in parts for piece in (part & ascii_, part & ~ascii_) if piece]
    listed = sorted(set[str]().union(*(set_.listed for set_ in sets)))
    return [chr(part.bit_length() - 1) for part in parts] + listed + [one for one in WIDE if one not in listed]
