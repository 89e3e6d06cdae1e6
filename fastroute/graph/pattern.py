"""Reads a regular expression of RE2 into a nondeterministic automaton, to find out how much matching it costs.

Only the cost depends on this reading (automaton.py); RE2 itself decides what matches. A pattern is read before RE2
compiles it, because a few constructs are expensive to compile, too. So the reading of an invalid pattern may be wrong.
If the cost of a construct is not known, UnclearError is raised.
"""

import re
import string
from collections.abc import Callable, Iterable, Sized
from functools import reduce
from operator import or_
from typing import NamedTuple

MOST_NODES = 1_000
MOST_CONNECTED = 2_000  # nodes inside of loops, counted once for each loop around them
MOST_DEPTH = 50  # of groups
MOST_LISTED = 64  # characters outside of ASCII that a pattern names
MOST_REPEATED = 1_000  # RE2 refuses more
MOST_STEPS = 20_000  # to judge a pattern: up to 0.15 µs each

ALL_ASCII = (1 << 128) - 1
_REPEAT = re.compile(r"\{([0-9]+)(,([0-9]*))?\}")
_SIGNS = ("{", "*", "+", "?")  # a repetition begins with one of them
_FLAGS = re.compile(r"\?([imsU]*)(?:-([imsU]+))?([:)])")
_NAMED = re.compile(r"\?P?<\w+>")
_HEX = re.compile(r"x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]+)\})")
_OCTAL = re.compile(r"0[0-7]{0,2}|[1-7][0-7]{1,2}")
_POSIX = re.compile(r"\[:(\^?)(\w+):\]")
_CONTROLS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ALSO = {"k": "\u212a", "s": "\u017f"}  # the characters outside of ASCII that equal these without regard to case


class UnclearError(ValueError):
    """The cost is not known; the text says why."""


class Steps:
    """Counts the work to judge one pattern, and ends it at a limit."""

    def __init__(self) -> None:
        self.taken = 0

    def take(self, number: int) -> None:
        self.taken += number
        if self.taken > MOST_STEPS:
            raise UnclearError(f"its cost is not known after {MOST_STEPS:,} steps")


class Chars(NamedTuple):
    """A set of characters: those of `ascii`, and those outside of ASCII that are in `listed`, or, with `others`, that
    are not in it."""

    ascii: int  # bit n: the character n
    others: bool = False
    listed: frozenset[str] = frozenset()

    def has(self, character: str) -> bool:
        if character.isascii():
            return bool(self.ascii >> ord(character) & 1)
        return (character in self.listed) != self.others

    def __or__(self, more: "Chars") -> "Chars":
        if self.others and more.others:
            return Chars(self.ascii | more.ascii, True, self.listed & more.listed)
        if self.others or more.others:
            wide, narrow = (self, more) if self.others else (more, self)
            return Chars(self.ascii | more.ascii, True, wide.listed - narrow.listed)
        return Chars(self.ascii | more.ascii, False, self.listed | more.listed)

    def inverted(self) -> "Chars":
        return Chars(ALL_ASCII & ~self.ascii, not self.others, self.listed)


def chars(text: Iterable[str]) -> Chars:
    ascii_, listed = 0, set()
    for character in text:
        if character.isascii():
            ascii_ |= 1 << ord(character)
        else:
            listed.add(character)
    return Chars(ascii_, False, frozenset(listed))


NONE = Chars(0)
DIGITS = chars(string.digits)
WORD = chars(string.ascii_letters + string.digits + "_")
_PERL = {"d": DIGITS, "w": WORD, "s": chars("\t\n\f\r ")}
_PERL |= {name.upper(): set_.inverted() for name, set_ in _PERL.items()}
_CLASSES = {
    "alnum": chars(string.ascii_letters + string.digits),
    "alpha": chars(string.ascii_letters),
    "ascii": Chars(ALL_ASCII),
    "blank": chars("\t "),
    "cntrl": chars([*map(chr, range(32)), "\x7f"]),
    "digit": DIGITS,
    "graph": chars(map(chr, range(33, 127))),
    "lower": chars(string.ascii_lowercase),
    "print": chars(map(chr, range(32, 127))),
    "punct": chars(string.punctuation),
    "space": chars("\t\n\v\f\r "),
    "upper": chars(string.ascii_uppercase),
    "word": WORD,
    "xdigit": chars(string.hexdigits),
}
_ASCII = {character: chars(character) for character in map(chr, range(128))}
_ANY = Chars(ALL_ASCII, True)
_NOT_NEWLINE = Chars(ALL_ASCII & ~(1 << 10), True)

# Assertions: they consume no character.
BEGIN, END, LINE_BEGIN, LINE_END, BOUNDARY, NO_BOUNDARY = range(6)


# Sets of nodes are integers: bit n is node n.


class Node(NamedTuple):
    """Exactly one of `chars` and `assertion` is set, except in the node of the end of the match."""

    chars: Chars | None = None
    assertion: int | None = None
    out: int = 0  # the nodes that may follow


class Nfa(NamedTuple):
    nodes: tuple[Node, ...]  # the first one stands for the end of the match
    start: int


_Build = Callable[[int], int]  # from the nodes that follow to the nodes to begin with


def joined(sets: Iterable[int]) -> int:
    return reduce(or_, sets, 0)


def members(nodes: int) -> list[int]:
    found = []
    while nodes:
        low = nodes & -nodes
        found.append(low.bit_length() - 1)
        nodes ^= low
    return found


def read_pattern(pattern: str, steps: Steps) -> Nfa | None:
    """None: it cannot be read, because RE2 refuses it. Raises UnclearError."""
    reader = _Reader(pattern, steps)
    try:
        build = reader.alternatives(0)
    except UnclearError:
        raise
    except (IndexError, KeyError, OverflowError, ValueError):
        return None
    start = build(1)
    return Nfa(tuple(reader.nodes), start)


class _Reader:
    """Recursive descent. Each method returns how to build its part, since what follows is built first."""

    def __init__(self, text: str, steps: Steps) -> None:
        self.nodes: list[Node] = [Node()]
        self._steps = steps
        self._text = text
        self._at = 0
        self._connected = 0
        self._flags: frozenset[str] = frozenset()
        self._asserting = [0] * 6  # the nodes of each assertion

    # --- building

    def _node(self, chars: Chars | None = None, assertion: int | None = None, out: int = 0) -> int:
        """The set of one new node."""
        if len(self.nodes) >= MOST_NODES:
            raise UnclearError("it is too long")
        is_wide = chars is not None and (chars.others or chars.listed)
        self._steps.take(40 if is_wide else 4)  # RE2 needs many instructions for characters outside of ASCII
        self.nodes.append(Node(chars, assertion, out))
        return 1 << len(self.nodes) - 1

    def _one(self, set_: Chars) -> _Build:
        set_ = self._folded(set_)
        _check_listed(set_.listed)
        return lambda out: self._node(chars=set_, out=out)

    def _assert(self, assertion: int) -> _Build:
        def build(out: int) -> int:
            self._steps.take(2)
            if out and not out & ~self._asserting[assertion]:  # only the same assertions follow
                return out
            node = self._node(assertion=assertion, out=out)
            self._asserting[assertion] |= node
            return node

        return build

    def _loop(self, part: _Build, out: int) -> int:
        """Any number of times, at least once."""
        first = len(self.nodes)
        again = self._node()  # stands for all that may follow: replaced below
        start = part(out | again)
        start = (start | out if again & start else start) & ~again
        self._connected += len(self.nodes) - first
        self._steps.take(2 * (len(self.nodes) - first))
        if self._connected > MOST_CONNECTED:
            raise UnclearError("its repetitions are nested too deeply")
        for index in range(first, len(self.nodes)):
            node = self.nodes[index]
            if again & node.out:
                self.nodes[index] = Node(node.chars, node.assertion, (node.out & ~again) | start)
        return start

    def _repeated(self, part: _Build, least: int, most: int | None) -> _Build:
        def build(out: int) -> int:
            self._steps.take(3)
            start = out
            if most is None:
                start = self._loop(part, out) if least else self._loop(part, out) | out
            for _ in range(0 if most is None else most - least):
                start = part(start) | out
            for _ in range(max(least - 1, 0) if most is None else least):
                start = part(start)
            return start

        return build

    # --- reading

    def alternatives(self, depth: int) -> _Build:
        """Up to the end, or the parenthesis that closes the group."""
        if depth > MOST_DEPTH:
            raise UnclearError(f"its groups are nested deeper than {MOST_DEPTH} levels")
        flags = self._flags
        branches = [self._sequence(depth)]
        while self._take("|"):
            branches.append(self._sequence(depth))
        self._flags = flags
        if len(branches) == 1:
            return branches[0]

        def build(out: int) -> int:
            self._steps.take(3 + len(branches))
            return joined([branch(out) for branch in branches])

        return build

    def _sequence(self, depth: int) -> _Build:
        parts: list[_Build] = []
        self._steps.take(6)
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            part = self._repetitions(self._atom(depth))
            if part is not None:
                parts.append(part)

        def build(out: int) -> int:
            self._steps.take(3 + len(parts))
            for part in reversed(parts):
                out = part(out)
            return out

        return build

    def _repetitions(self, part: _Build | None) -> _Build | None:
        while part is not None and self._text[self._at : self._at + 1] in _SIGNS:
            if found := _REPEAT.match(self._text, self._at):
                self._at = found.end()
                least = int(found[1])
                most = least if found[2] is None else int(found[3]) if found[3] else None
            elif sign := self._take("*", "+", "?"):
                least, most = int(sign == "+"), (1 if sign == "?" else None)
            else:
                return part
            self._take("?")  # lazy: the same texts match
            if (number := max(least, most or 0)) > MOST_REPEATED:
                raise ValueError(number)
            self._steps.take(15 + 4 * number)  # RE2 writes it out, even inside of {0}
            part = self._repeated(part, least, most)
        return part

    def _take(self, *signs: str) -> str | None:
        for sign in signs:
            if self._text.startswith(sign, self._at):
                self._at += len(sign)
                return sign
        return None

    def _atom(self, depth: int) -> _Build | None:
        """None: only flags that apply from here on, or nothing."""
        self._steps.take(10)
        sign = self._text[self._at]
        self._at += 1
        if sign == "(":
            return self._group(depth)
        if sign == "[":
            return self._one(self._bracket())
        if sign == ".":
            return self._one(_ANY if "s" in self._flags else _NOT_NEWLINE)
        if sign == "^":
            return self._assert(LINE_BEGIN if "m" in self._flags else BEGIN)
        if sign == "$":
            return self._assert(LINE_END if "m" in self._flags else END)
        if sign == "\\":
            return self._escape()
        return self._one(_ASCII.get(sign) or chars(sign))

    def _group(self, depth: int) -> _Build | None:
        self._steps.take(15)
        before = self._flags
        if found := _NAMED.match(self._text, self._at):
            self._at = found.end()
        elif found := _FLAGS.match(self._text, self._at):
            self._at = found.end()
            self._flags = (self._flags | set(found[1])) - set(found[2] or "")
            if found[3] == ")":
                return None
        part = self.alternatives(depth + 1)
        self._take(")")
        self._flags = before
        return part

    def _escape(self) -> _Build | None:
        if self._take("Q"):
            end = self._text.find("\\E", self._at)
            quoted = self._text[self._at :] if end < 0 else self._text[self._at : end]
            self._at = len(self._text) if end < 0 else end + 2
            self._steps.take(10 * len(quoted))
            parts = [self._one(chars(character)) for character in quoted]

            def build(out: int) -> int:
                for part in reversed(parts):
                    out = part(out)
                return out

            return build if parts else None
        if sign := self._take("A", "z", "b", "B"):
            return self._assert({"A": BEGIN, "z": END, "b": BOUNDARY, "B": NO_BOUNDARY}[sign])
        return self._one(self._escaped())

    def _escaped(self) -> Chars:
        """The characters of an escape, after its backslash."""
        if found := _HEX.match(self._text, self._at):
            self._at = found.end()
            return chars(chr(int(found[1] or found[2], 16)))
        if found := _OCTAL.match(self._text, self._at):
            self._at = found.end()
            return chars(chr(int(found[0], 8)))
        sign = self._text[self._at]
        self._at += 1
        if sign in "pPC":
            raise UnclearError(f"the cost of \\{sign} is not known")
        return _PERL.get(sign) or chars(_CONTROLS.get(sign, sign))

    def _bracket(self) -> Chars:
        inverted = bool(self._take("^"))
        found = NONE
        first = True
        while first or not self._take("]"):
            first = False
            self._steps.take(15)
            _check_listed(found.listed)
            if posix := _POSIX.match(self._text, self._at):
                self._at = posix.end()
                class_ = _CLASSES[posix[2]]
                found |= class_.inverted() if posix[1] else class_
                continue
            low = self._member()
            ranges = self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at)
            if ranges and low.ascii.bit_count() + len(low.listed) == 1 and not low.others:
                self._at += 1
                found |= _range(low, self._member())
            else:
                found |= low
        found = self._folded(found)
        return found.inverted() if inverted else found

    def _folded(self, set_: Chars) -> Chars:
        if "i" not in self._flags:
            return set_
        self._steps.take(30 + 10 * len(set_.listed))
        return _folded(set_)

    def _member(self) -> Chars:
        sign = self._text[self._at]
        self._at += 1
        return self._escaped() if sign == "\\" else chars(sign)


def _range(low: Chars, high: Chars) -> Chars:
    first, last = _only(low), _only(high)
    if last < 128:
        return Chars((1 << last + 1) - (1 << first))
    ascii_ = (1 << 128) - (1 << first) if first < 128 else 0
    listed = range(max(first, 128), last + 1)
    _check_listed(listed)
    return Chars(ascii_, False, frozenset(map(chr, listed)))


def _check_listed(listed: Sized) -> None:
    """Called after each member of a class, because each addition copies the set."""
    if len(listed) > MOST_LISTED:
        raise UnclearError("it has a large class of characters outside of ASCII")


def _only(set_: Chars) -> int:
    return ord(next(iter(set_.listed))) if set_.listed else set_.ascii.bit_length() - 1


def _folded(set_: Chars) -> Chars:
    """With the characters that are equal without regard to case."""
    upper = set_.ascii >> 65 & (1 << 26) - 1
    lower = set_.ascii >> 97 & (1 << 26) - 1
    letters = upper | lower
    also = [more for letter, more in _ALSO.items() if letters >> ord(letter) - 97 & 1]
    if not set_.others:
        also += [variant for one in set_.listed for variant in (one.lower(), one.upper()) if len(variant) == 1]
    return set_ | Chars(letters << 65 | letters << 97) | chars(also)
