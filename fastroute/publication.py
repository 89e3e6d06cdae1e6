"""What main and a worker say to each other: the difference between two Snapshots as frames, and the way back.

A publication is `Begin(version, base)`, changes, `Commit(version)`. `base` is the version the difference starts from, 0
when it starts from nothing; a worker that does not hold `base` answers `Refused`, and gets the whole. A change of
endpoints alone is one `EndpointUpdate`, because it touches no table. Either is answered by `Ack(version)`.

The order inside a publication is such that obeying it frame by frame never leaves a rule without its listener or its
endpoints: endpoints, certificates, listeners, rules come before what goes away. What goes away (`RemoveEndpoints`
included) is still in use by the tables of `base` until the swap, so a worker lets go of it after `Commit`.

On the wire (a byte stream) a message is msgpack, cut into fragments of at most 64 KiB. A fragment starts with four
bytes, big-endian: the upper bit says that the message goes on in the next one, the rest is the length of the piece.
A listening socket travels beside its `Listen` (SCM_RIGHTS, one descriptor a message, in the order of the messages).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar, get_args

import msgspec

from fastroute.difference import changed_keys
from fastroute.settings import Limits
from fastroute.snapshot import Certificate, Endpoint, Listener, Rule, Snapshot

FRAGMENT = 64 * 1024  # bytes of a fragment, its four bytes of prefix included
MESSAGE_LIMIT = 64 * 1024 * 1024  # bytes of a message; more means that the stream is broken
_PREFIX = 4
_PIECE = FRAGMENT - _PREFIX
_MORE = 1 << 31


class WireError(Exception):
    """The stream cannot be understood: broken, or spoken by another version. The connection must be given up."""


# --- changes: what a difference is made of


class RuleSlots(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a rule counts, in the slots of the counters; 0 is `other`. Made by the supervisor, unknown to Snapshots."""

    targets: tuple[int, ...] = ()  # of http_requests_total, one for each of Rule.backends; missing ones are 0
    local: int = 0  # of http_requests_total, for answers before a backend was chosen
    duration: int = 0  # of http_request_duration_seconds


class SetEndpoints(msgspec.Struct, frozen=True, tag="set_endpoints"):
    backend: str
    endpoints: tuple[Endpoint, ...]


class RemoveEndpoints(msgspec.Struct, frozen=True, tag="remove_endpoints"):
    """No rule of the new version refers to the backend."""

    backend: str


class UpsertCertificate(msgspec.Struct, frozen=True, tag="upsert_certificate"):
    id: str
    certificate: Certificate


class RemoveCertificate(msgspec.Struct, frozen=True, tag="remove_certificate"):
    """No listener of the new version names it."""

    id: str


class UpsertListener(msgspec.Struct, frozen=True, tag="upsert_listener", omit_defaults=True):
    listener: Listener
    slot: int = 0  # of http_requests_total, for answers before a rule was chosen; as in RuleSlots


class RemoveListener(msgspec.Struct, frozen=True, tag="remove_listener"):
    id: str


class UpsertRule(msgspec.Struct, frozen=True, tag="upsert_rule", omit_defaults=True):
    rule: Rule
    slots: RuleSlots = RuleSlots()


class RemoveRule(msgspec.Struct, frozen=True, tag="remove_rule"):
    id: str


Change = (
    SetEndpoints
    | UpsertCertificate
    | UpsertListener
    | UpsertRule
    | RemoveRule
    | RemoveListener
    | RemoveCertificate
    | RemoveEndpoints
)

# --- messages: main to worker


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """The first message: how to serve. What it says never changes while the worker lives. The memory of its counters
    (a memfd) travels beside it."""

    limits: Limits
    request_series: int  # of the counters
    histograms: int  # of the counters
    access_log: str | None = None  # an absolute path, "-" for stdout, None: off
    drain_timeout: float = 30.0  # seconds that a drain takes at most
    trusted_proxies: tuple[str, ...] = ()
    proxy_protocol: bool = False
    merge_slashes: bool = False


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    version: int
    base: int  # 0: from nothing


class Commit(msgspec.Struct, frozen=True, tag="commit"):
    version: int


class EndpointUpdate(msgspec.Struct, frozen=True, tag="endpoint_update"):
    """A whole publication in one message: nothing but these endpoints changed."""

    version: int
    base: int
    endpoints: dict[str, tuple[Endpoint, ...]]


class TicketKeys(msgspec.Struct, frozen=True, tag="ticket_keys"):
    """The keys of TLS session tickets, from now on: new tickets are made with the first, those of all are accepted."""

    keys: tuple[bytes, ...]  # of ext/ticket KEY_SIZE bytes each

    def __repr__(self) -> str:
        return f"TicketKeys({len(self.keys)} keys)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class Listen(msgspec.Struct, frozen=True, tag="listen"):
    """Accept from the socket that travels beside this message. `slot`: the worker slot it was bound for; another
    slot's socket is looked after until that slot's new worker has acknowledged."""

    address: str
    port: int
    slot: int


class Unlisten(msgspec.Struct, frozen=True, tag="unlisten"):
    """Empty the accept queue of that socket, then close it."""

    address: str
    port: int
    slot: int


class AnnounceDrain(msgspec.Struct, frozen=True, tag="announce_drain"):
    """Go on accepting, but let every answer carry `Connection: close`."""


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Stop accepting, finish what is in flight, say `Drained`, end."""


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Say `Pong`: are you still obeying?"""


class ReopenLog(msgspec.Struct, frozen=True, tag="reopen_log"):
    """Open the access log's path again (SIGHUP)."""


Downward = (
    Start
    | Begin
    | SetEndpoints
    | UpsertCertificate
    | UpsertListener
    | UpsertRule
    | RemoveRule
    | RemoveListener
    | RemoveCertificate
    | RemoveEndpoints
    | Commit
    | TicketKeys
    | EndpointUpdate
    | Listen
    | Unlisten
    | AnnounceDrain
    | Drain
    | ReopenLog
    | Ping
)

# --- messages: worker to main


class Ack(msgspec.Struct, frozen=True, tag="ack"):
    """Every message up to the publication of `version` is obeyed: its listeners accept, its rules route."""

    version: int


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The publication of `version` could not be installed; the version before it still serves."""

    version: int
    reason: str


class Drained(msgspec.Struct, frozen=True, tag="drained"):
    """No exchange is in flight any more; the worker ends."""


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """The answer to `Ping`."""


class Trouble(msgspec.Struct, frozen=True, tag="trouble"):
    """Something a person should know; nothing ends by it."""

    text: str


Upward = Ack | Refused | Drained | Pong | Trouble

# --- differences


def difference(
    old: Snapshot | None,
    new: Snapshot,
    slots: Callable[[Rule], RuleSlots] | None = None,
    listener_slot: Callable[[Listener], int] | None = None,
) -> tuple[Change, ...]:
    """What turns `old` (None: nothing) into `new`, in the order to obey it. An object that is the same (`is`) in both
    costs one look. `slots` and `listener_slot` say where a rule and a listener count (None: in `other`)."""
    old = Snapshot() if old is None else old
    slots_of = slots or (lambda rule: RuleSlots())
    slot_of = listener_slot or (lambda listener: 0)
    return (
        *(SetEndpoints(backend, now) for backend, now in _changed(old.endpoints, new.endpoints)),
        *(UpsertCertificate(id, one) for id, one in _changed(old.certificates, new.certificates)),
        *(UpsertListener(listener, slot_of(listener)) for _, listener in _changed(old.listeners, new.listeners)),
        *(UpsertRule(rule, slots_of(rule)) for _, rule in _changed(old.rules, new.rules)),
        *(RemoveRule(id) for id in _gone(old.rules, new.rules)),
        *(RemoveListener(id) for id in _gone(old.listeners, new.listeners)),
        *(RemoveCertificate(id) for id in _gone(old.certificates, new.certificates)),
        *(RemoveEndpoints(backend) for backend in _gone(old.endpoints, new.endpoints)),
    )


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What is new, or another than before, in the order of `new`."""
    keys = changed_keys(old, new)  # `is` decides for almost all; `!=` only looks at those that were made anew
    return [(key, new[key]) for key in sorted(keys) if key in new and (key not in old or old[key] != new[key])]


def _gone(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in changed_keys(old, new) if key not in new)


def apply(snapshot: Snapshot | None, changes: Iterable[Change]) -> Snapshot:
    """What `changes` make of `snapshot` (None: nothing), which is what a worker holds after `Commit`."""
    snapshot = Snapshot() if snapshot is None else snapshot
    listeners, rules, endpoints = dict(snapshot.listeners), dict(snapshot.rules), dict(snapshot.endpoints)
    certificates = dict(snapshot.certificates)
    for change in changes:
        match change:
            case SetEndpoints():
                endpoints[change.backend] = change.endpoints
            case UpsertCertificate():
                certificates[change.id] = change.certificate
            case UpsertListener():
                listeners[change.listener.id] = change.listener
            case UpsertRule():
                rules[change.rule.id] = change.rule
            case RemoveRule():
                del rules[change.id]
            case RemoveListener():
                del listeners[change.id]
            case RemoveCertificate():
                del certificates[change.id]
            case RemoveEndpoints():
                del endpoints[change.backend]
    return Snapshot(
        listeners=_sorted(listeners),
        rules=_sorted(rules),
        endpoints=_sorted(endpoints),
        certificates=_sorted(certificates),
    )


Value = TypeVar("Value")


def _sorted(mapping: dict[str, Value]) -> dict[str, Value]:
    return {key: mapping[key] for key in sorted(mapping)}


def publication(version: int, base: int, changes: Sequence[Change]) -> Iterator[Downward]:
    """The messages that take a worker from `base` to `version`."""
    endpoints = {change.backend: change.endpoints for change in changes if isinstance(change, SetEndpoints)}
    if base and len(endpoints) == len(changes):
        update = EndpointUpdate(version, base, endpoints)
        if len(_encoder.encode(update)) <= _PIECE:
            yield update
            return
    yield Begin(version, base)
    yield from changes
    yield Commit(version)


# --- the wire

_encoder = msgspec.msgpack.Encoder()


def encode(message: Downward | Upward) -> bytes:
    """A message as it goes over the stream: one fragment or several."""
    return b"".join(_fragments(_encoder.encode(message)))


def _fragments(body: bytes) -> Iterator[bytes]:
    if len(body) > MESSAGE_LIMIT:
        raise WireError(f"a message of {len(body)} bytes is more than the stream carries ({MESSAGE_LIMIT})")
    for start in range(0, len(body), _PIECE):
        piece = body[start : start + _PIECE]
        more = _MORE if start + _PIECE < len(body) else 0
        yield (len(piece) | more).to_bytes(_PREFIX, "big") + piece


Message = TypeVar("Message")


class Decoder(Generic[Message]):
    """Bytes in, in pieces of any size; messages out, one a step. Decodes a message only when it is asked for.

    `Decoder(Downward)` is a worker's, `Decoder(Upward)` main's. WireError ends it.
    """

    def __init__(self, messages: type[Message] | Any) -> None:
        assert get_args(messages), "a union of messages"
        self._decode = msgspec.msgpack.Decoder(messages).decode
        self._buffer = bytearray()
        self._start = 0  # of the first fragment in the buffer that was not taken
        self._pieces: list[bytes] = []  # of a message whose last fragment has not come
        self._size = 0  # bytes in `_pieces`

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Adds what was received."""
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    @property
    def pending(self) -> int:
        """Bytes that were fed and not yet given as messages."""
        return len(self._buffer) - self._start + self._size

    def next_message(self) -> Message | None:
        """The next message, or None when more bytes are needed. Raises WireError."""
        while (fragment := self._next_fragment()) is not None:
            more, piece = fragment
            if not more and not self._pieces:
                return self._decoded(piece)
            self._pieces.append(piece)
            self._size += len(piece)
            if self._size > MESSAGE_LIMIT:
                raise WireError(f"a message of more than {MESSAGE_LIMIT} bytes")
            if not more:
                whole = b"".join(self._pieces)
                self._pieces.clear()
                self._size = 0
                return self._decoded(whole)
        return None

    def __iter__(self) -> Iterator[Message]:
        while (message := self.next_message()) is not None:
            yield message

    def _next_fragment(self) -> tuple[bool, bytes] | None:
        begin = self._start + _PREFIX
        if len(self._buffer) < begin:
            return None
        prefix = int.from_bytes(self._buffer[self._start : begin], "big")
        end = begin + (prefix & ~_MORE)
        if end - self._start > FRAGMENT:
            raise WireError(f"a fragment of {end - begin} bytes, at most {_PIECE} are allowed")
        if len(self._buffer) < end:
            return None
        self._start = end
        return bool(prefix & _MORE), bytes(self._buffer[begin:end])

    def _decoded(self, body: bytes) -> Message:
        try:
            return self._decode(body)  # type: ignore[no-any-return]
        except msgspec.DecodeError as error:
            raise WireError(f"a message that cannot be understood: {error}") from error
