"""How large the automaton is that RE2 builds for a regular expression, which determines what matching costs.

RE2 builds the states of a deterministic automaton and the transitions between them when a text first needs them, and
keeps them. To build a transition, it goes through the instructions that both states consist of: up to 2 µs. Later
it needs 2 ns per byte. If there are more states than its memory can hold, it becomes a thousand times slower: up to
10 ns per byte and instruction of the program. A few constructs need a number of states that is exponential in their
length, for example `.*a.{20}`, whose automaton must remember which of the last 20 characters were `a`. So this module
builds the automaton in advance, and stops at a limit.
"""

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
    Steps,
    UnclearError,
    joined,
    members,
)

MOST_STATES = 300
MOST_MEMORY = 120_000  # bytes of the states; RE2 has 170 KB for them (MEMORY of ext/routing/regex)

# In UTF-8, a character outside of ASCII has several bytes, and there are states between them.
_BETWEEN = 8  # for all of these characters together
_BETWEEN_LISTED = 3  # for one that the pattern names

_OTHER = ""  # stands for all characters outside of ASCII that the pattern does not name
_START, _WORD, _NEWLINE, _REST = "start", "word", "newline", "rest"  # what was read last
_KINDS = (_WORD, _NEWLINE, _REST)  # what is read next


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


def automaton_size(nfa: Nfa, steps: Steps) -> Size:
    """The size of the automaton of RE2. Raises UnclearError if the pattern costs too much."""
    return _Exploration(nfa, steps).size()


class _Exploration:
    def __init__(self, nfa: Nfa, steps: Steps) -> None:
        self._steps = steps
        steps.take(3 * len(nfa.nodes))
        self._follow = [node.out for node in nfa.nodes]
        asserting: dict[int, int] = {}  # by assertion: its nodes
        for index, node in enumerate(nfa.nodes):
            if node.assertion is not None:
                asserting[node.assertion] = asserting.get(node.assertion, 0) | 1 << index
        self._asserting = joined(asserting.values())
        self._true = {
            (last, coming): joined(nodes for assertion, nodes in asserting.items() if _is_true(assertion, last, coming))
            for last in (_START, *_KINDS)
            for coming in _KINDS
        }  # the nodes whose assertions are true between the two characters
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
        self._known: dict[int, int] = {}  # by nodes that read a character: the nodes after them

    def _distinct(self, sets: dict[Chars, int], listed: list[str]) -> list[tuple[int, str]]:
        """The nodes that accept a character, and what it is: once for all characters with the same."""
        parts = [ALL_ASCII]
        for ascii_ in {set_.ascii for set_ in sets} | ({WORD.ascii, 1 << 10} if self._asserting else set()):
            parts = [piece for part in parts for piece in (part & ascii_, part & ~ascii_) if piece]
            self._steps.take(2 * len(parts))
        self._steps.take((len(parts) + 3 * len(listed)) * len(sets))
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
            ready_for = self._ready(nodes, last)
            between = ready_for[_REST] & self._wide
            if between:  # from the state, and, once, between the bytes
                new = between not in wide
                wide.add(between)
                memory += new * self._between * self._memory(between)
                transitions += (1 + new) * self._between
                cost = nodes.bit_count() // 2 + between.bit_count()
                instructions, most = instructions + (1 + new) * self._between * cost, max(most, cost)
            for accepting, kind in self._symbols:
                ready = ready_for[kind]
                reading = ready & accepting
                after = self._after(reading) if reading else 0
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

    def _ready(self, nodes: int, last: str) -> dict[str, int]:
        """The nodes that may read the next character, by the kind of that character."""
        self._steps.take(20 + len(self._symbols) // 2)
        if not nodes & self._asserting:
            return dict.fromkeys(_KINDS, nodes)
        return {kind: self._passing(nodes, last, kind) for kind in _KINDS}

    def _memory(self, nodes: int) -> int:
        """Bytes of one state in RE2: its transitions, by class of bytes, and its instructions."""
        return 64 + 8 * (len(self._symbols) + 14) + 4 * (nodes.bit_count() + 4)

    def _after(self, nodes: int) -> int:
        """The nodes that may follow when each of `nodes` has read a character."""
        self._steps.take(4)
        after = self._known.get(nodes)
        if after is None:
            after = self._known[nodes] = self._following(members(nodes))
        return after

    def _passing(self, nodes: int, last: str, coming: str) -> int:
        """With the nodes behind the assertions that are true between the two characters."""
        true = self._true[last, coming]
        waiting = nodes & true
        while waiting:
            self._steps.take(4)
            more = self._following(members(waiting)) & ~nodes  # each node is followed once
            nodes |= more
            waiting = more & true
        return nodes

    def _following(self, nodes: list[int]) -> int:
        self._steps.take(len(nodes))
        return joined([self._follow[index] for index in nodes])


def _is_true(assertion: int, last: str, coming: str) -> bool:
    if assertion in (BOUNDARY, NO_BOUNDARY):
        return ((last == _WORD) != (coming == _WORD)) == (assertion == BOUNDARY)
    return {
        BEGIN: last == _START,
        END: False,  # more characters follow
        LINE_BEGIN: last in (_START, _NEWLINE),
        LINE_END: coming == _NEWLINE,
    }[assertion]
