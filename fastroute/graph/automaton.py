"""How large the automaton is that RE2 builds for a regular expression, which determines what matching costs.

RE2 builds the states of a deterministic automaton and the transitions between them when a text first needs them, and
keeps them. To build a transition, it goes through the instructions that both states consist of: up to 2 µs. Later
it needs 2 ns per byte. If there are more states than its memory can hold, it becomes a thousand times slower: up to
10 ns per byte and instruction of the program. A few constructs need a number of states that is exponential in their
length, for example `.*a.{20}`, whose automaton must remember which of the last 20 characters were `a`. So this module
builds the automaton in advance, and stops at a limit.
"""

from collections.abc import Iterable
from typing import NamedTuple

from fastroute.graph.pattern import (
    ALL_ASCII,
    BEGIN,
    BOUNDARY,
    END,
    LINE_BEGIN,
    LINE_END,
    NO_BOUNDARY,
    WORD,
    Chars,
    Nfa,
    UnclearError,
    joined,
    members,
    read_pattern,
)

MOST_STATES = 300
MOST_MEMORY = 120_000  # bytes of the states; RE2 has 170 KB for them (MEMORY of ext/regex)

# In UTF-8, a character outside of ASCII has several bytes, and there are states between them.
_BETWEEN = 8  # for all of these characters together
_BETWEEN_LISTED = 3  # for one that the pattern names

_OTHER = ""  # stands for all characters outside of ASCII that the pattern does not name
_START, _WORD, _NEWLINE, _REST = "start", "word", "newline", "rest"  # what was read last


class Size(NamedTuple):
    """The minimum that RE2 has built after it has read every possible text."""

    nodes: int  # of the automaton that it is built from
    wide_nodes: int  # those that accept characters outside of ASCII
    states: int
    memory: int  # bytes
    transitions: int  # by bytes, without those after which nothing matches
    instructions: int  # to build all transitions: half of those of the state before, and those of the state after
    most_instructions: int  # for one of them

    def built_by(self, most: int) -> tuple[int, int]:
        """The transitions that a text of at most that many bytes needs, and their instructions."""
        transitions = min(self.transitions, most)
        return transitions, min(self.instructions, transitions * self.most_instructions)


def automaton_size(pattern: str) -> Size | str:
    """The size of the automaton of RE2; or why the pattern costs too much. RE2 must accept the pattern."""
    try:
        return _Exploration(read_pattern(pattern)).size()
    except UnclearError as error:
        return str(error)


class _Exploration:
    def __init__(self, nfa: Nfa) -> None:
        self._follow = [node.out for node in nfa.nodes]
        self._assertions = {index: node.assertion for index, node in enumerate(nfa.nodes) if node.assertion is not None}
        self._asserting = _mask(self._assertions)
        sets: dict[Chars, int] = {}  # with the nodes that accept it
        for index, node in enumerate(nfa.nodes):
            if node.chars is not None:
                sets[node.chars] = sets.get(node.chars, 0) | 1 << index
        listed = sorted(set().union(*(set_.listed for set_ in sets)))
        if len(listed) > 64:
            raise UnclearError("it names many characters outside of ASCII")
        self._wide = joined(nodes for set_, nodes in sets.items() if set_.others or set_.listed)
        self._between = _BETWEEN + _BETWEEN_LISTED * len(listed)
        self._symbols = self._distinct(sets, listed)
        self._start = nfa.start
        self._steps: dict[int, int] = {}

    def _distinct(self, sets: dict[Chars, int], listed: list[str]) -> list[tuple[int, str]]:
        """The nodes that accept a character, and what it is: once for all characters with the same."""
        parts = [ALL_ASCII]
        for ascii_ in {set_.ascii for set_ in sets} | ({WORD.ascii, 1 << 10} if self._asserting else set()):
            parts = [piece for part in parts for piece in (part & ascii_, part & ~ascii_) if piece]
        found: dict[tuple[int, str], None] = {}
        for part in parts:
            accepting = joined(nodes for set_, nodes in sets.items() if set_.ascii & part)
            found[accepting, self._kind(chr(part.bit_length() - 1))] = None
        for character in listed:
            found[joined(nodes for set_, nodes in sets.items() if set_.has(character)), _REST] = None
        found[joined(nodes for set_, nodes in sets.items() if set_.others), _REST] = None
        return [(accepting, kind) for accepting, kind in found if accepting]

    def _kind(self, character: str) -> str:
        if not self._asserting:
            return _REST
        return _NEWLINE if character == "\n" else _WORD if WORD.has(character) else _REST

    def size(self) -> Size:
        first = (self._start, _START if self._start & self._asserting else _REST)
        seen = {first}
        waiting = [first]
        wide: set[int] = set()
        memory = transitions = instructions = most = 0
        while waiting:
            nodes, last = waiting.pop()
            memory += self._memory(nodes)
            between = self._ready(nodes, last, _REST) & self._wide
            if between:  # from the state, and, once, between the bytes
                new = between not in wide
                wide.add(between)
                memory += new * self._between * self._memory(between)
                transitions += (1 + new) * self._between
                cost = nodes.bit_count() // 2 + between.bit_count()
                instructions, most = instructions + (1 + new) * self._between * cost, max(most, cost)
            for accepting, kind in self._symbols:
                ready = self._ready(nodes, last, kind)
                after = self._after(ready & accepting) if ready & accepting else 0
                if not after:
                    continue
                cost = ready.bit_count() // 2 + after.bit_count()
                transitions, instructions, most = transitions + 1, instructions + cost, max(most, cost)
                state = (after, kind if after & self._asserting else _REST)
                if state not in seen:
                    seen.add(state)
                    waiting.append(state)
            states = len(seen) + self._between * len(wide)
            if states > MOST_STATES or memory > MOST_MEMORY:
                raise UnclearError("its automaton has too many states")
        return Size(len(self._follow), self._wide.bit_count(), states, memory, transitions, instructions, max(most, 1))

    def _ready(self, nodes: int, last: str, coming: str) -> int:
        return self._passing(nodes, last, coming) if nodes & self._asserting else nodes

    def _memory(self, nodes: int) -> int:
        """Bytes of one state in RE2: its transitions, by class of bytes, and its instructions."""
        return 64 + 8 * (len(self._symbols) + 14) + 4 * (nodes.bit_count() + 4)

    def _after(self, nodes: int) -> int:
        """The nodes that may follow when each of `nodes` has read a character."""
        after = self._steps.get(nodes)
        if after is None:
            after = 0
            for index in members(nodes):
                after |= self._follow[index]
            self._steps[nodes] = after
        return after

    def _passing(self, nodes: int, last: str, coming: str) -> int:
        """With the nodes behind the assertions that are true between the two characters."""
        while True:
            more = nodes
            for index in members(nodes & self._asserting):
                if _is_true(self._assertions[index], last, coming):
                    more |= self._follow[index]
            if more == nodes:
                return nodes
            nodes = more


def _is_true(assertion: int, last: str, coming: str) -> bool:
    if assertion in (BOUNDARY, NO_BOUNDARY):
        return ((last == _WORD) != (coming == _WORD)) == (assertion == BOUNDARY)
    return {
        BEGIN: last == _START,
        END: False,  # more characters follow
        LINE_BEGIN: last in (_START, _NEWLINE),
        LINE_END: coming == _NEWLINE,
    }[assertion]


def _mask(indexes: Iterable[int]) -> int:
    mask = 0
    for index in indexes:
        mask |= 1 << index
    return mask
