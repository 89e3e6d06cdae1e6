"""The messages between the main process and a worker: the difference between two Snapshots as frames, and responses.

A publication is `Begin(version, base)`, changes, `Commit(version)`. `base` is the version that the difference starts
from; 0 means that the publication is complete. A worker without version `base` answers `Refused`, and gets a complete
publication. If only endpoints changed, the publication is one `EndpointUpdate`, because no table changes. A worker
answers `Commit` and `EndpointUpdate` with `Ack(version)`.

The order of the changes ensures that after each of them every rule has its listener and its endpoints: additions
(backends, endpoints, certificates, listeners, rules) come before removals. A changed backend takes effect together with
its endpoints, if these change too, and otherwise before the tables. The tables of `base` use the removed objects
(`RemoveEndpoints` included) until the swap, so a worker frees them after `Commit`.

Bytes on the wire: wire.py. Descriptors are sent with their messages (SCM_RIGHTS), in the order of the messages: a
listening socket with its `Listen`, a file with `WriteLog`, and those of `Start`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from fastroute.difference import changed_keys
from fastroute.place import Place
from fastroute.settings import Limits
from fastroute.shortage import Short
from fastroute.snapshot import Backend, Certificate, Endpoint, Listener, Rule, Snapshot, backend_label
from fastroute.trustanchors import anchors_of, certificate_of, with_anchors, with_certificate
from fastroute.wire import is_one_fragment

ENDPOINTS = 1000  # of a message
AVOIDED = 500  # endpoints of one transport in an Avoided
FAILED = 100  # endpoints of an EndpointFailures

# --- changes: the parts of a difference


class RuleSlots(msgspec.Struct, frozen=True, omit_defaults=True):
    """The counter slots of a rule; 0 is `other`. Assigned by the supervisor, not part of a Snapshot."""

    targets: tuple[int, ...] = ()  # slots in http_requests_total, one for each of Rule.backends; 0 if missing
    local: int = 0  # slot in http_requests_total, for answers before a backend was chosen
    duration: int = 0  # slot in http_request_duration_seconds
    upstreams: tuple[int, ...] = ()  # slots in upstream_request_duration_seconds, as `targets`


class TrustAnchors(msgspec.Struct, frozen=True, tag="trust_anchors"):
    # CA certificates that the next backends and listeners of this publication share: thousands may have the same ones
    number: int
    pem: bytes


class ClientCertificate(msgspec.Struct, frozen=True, tag="client_certificate"):
    # a certificate of the gateway that the next backends of this publication share
    number: int
    certificate: Certificate


class UpsertBackend(msgspec.Struct, frozen=True, tag="upsert_backend", omit_defaults=True):
    id: str
    backend: Backend
    anchors: int = 0  # in a message: the number of the TrustAnchors that are left out in its `tls`; 0: none are
    certificate: int = 0  # likewise: of its ClientCertificate


class RemoveBackend(msgspec.Struct, frozen=True, tag="remove_backend"):
    """Removes a backend that no rule of the new version refers to."""

    id: str


class SetEndpoints(msgspec.Struct, frozen=True, tag="set_endpoints"):
    backend: str
    endpoints: tuple[Endpoint, ...]


class MoreEndpoints(SetEndpoints, frozen=True, tag="more_endpoints"):
    """The first endpoints of the next SetEndpoints for this backend, which has more than ENDPOINTS."""


class RemoveEndpoints(msgspec.Struct, frozen=True, tag="remove_endpoints"):
    """Removes the endpoints of a backend that no rule of the new version refers to."""

    backend: str


class UpsertCertificate(msgspec.Struct, frozen=True, tag="upsert_certificate"):
    id: str
    certificate: Certificate


class RemoveCertificate(msgspec.Struct, frozen=True, tag="remove_certificate"):
    """Removes a certificate that no listener of the new version names."""

    id: str


class UpsertListener(msgspec.Struct, frozen=True, tag="upsert_listener", omit_defaults=True):
    listener: Listener
    slot: int = 0  # in http_requests_total, for answers before a rule was chosen; see RuleSlots
    anchors: int = 0  # as in UpsertBackend: of the TrustAnchors that are left out in its `tls.clients`


class RemoveListener(msgspec.Struct, frozen=True, tag="remove_listener"):
    id: str


class UpsertRule(msgspec.Struct, frozen=True, tag="upsert_rule", omit_defaults=True):
    rule: Rule
    slots: RuleSlots = RuleSlots()


class RemoveRule(msgspec.Struct, frozen=True, tag="remove_rule"):
    id: str


Change = (
    UpsertBackend
    | SetEndpoints
    | UpsertCertificate
    | UpsertListener
    | UpsertRule
    | RemoveRule
    | RemoveListener
    | RemoveCertificate
    | RemoveEndpoints
    | RemoveBackend
)

# --- messages: main process to worker


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """The first message: fixed settings. Sent with it: a memfd for its counters, the file of the access
    log, and the pipe of traces."""

    limits: Limits
    request_series: int  # the number of series in the counters
    histograms: int  # the number of histograms in the counters
    access_log: bool = False  # whether there is one
    log_format: str = "json"  # of the access log
    log_sample: float = 1.0
    traced: bool = False  # whether requests are traced if no policy says otherwise
    trace_sampling: float = 0.0
    drain_timeout: float = 30.0  # maximum duration of a drain, in seconds
    trusted_proxies: tuple[str, ...] = ()
    proxy_protocol: bool = False
    merge_slashes: bool = False
    keep_underscores: bool = False
    installation: str = ""  # the identity that marks forwarded requests, to detect loops
    local_ports: tuple[int, int] = (32_768, 60_999)  # of connections to backends: the first and the last


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    version: int
    base: int  # 0: complete


class Commit(msgspec.Struct, frozen=True, tag="commit"):
    version: int


class EndpointUpdate(msgspec.Struct, frozen=True, tag="endpoint_update"):
    """A publication in one message: only these endpoints changed."""

    version: int
    base: int
    endpoints: dict[str, tuple[Endpoint, ...]]


class TicketKeys(msgspec.Struct, frozen=True, tag="ticket_keys"):
    """The new keys of TLS session tickets: the first encrypts new tickets, all of them decrypt."""

    keys: tuple[bytes, ...]  # each has KEY_SIZE bytes (ext/tls/ticket)

    def __repr__(self) -> str:
        return f"TicketKeys({len(self.keys)} keys)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class Listen(msgspec.Struct, frozen=True, tag="listen"):
    """Serve the socket that is sent with this message. `slot`: the worker slot it was bound for. A worker accepts
    from the socket of another slot only until the new worker of that slot has acknowledged its configuration."""

    place: Place
    slot: int


class Unlisten(msgspec.Struct, frozen=True, tag="unlisten"):
    """Empty the accept queue of that socket, if it has one, then close it."""

    place: Place
    slot: int


class AnnounceDrain(msgspec.Struct, frozen=True, tag="announce_drain"):
    """Keep accepting, but send `Connection: close` in every response."""


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Stop accepting, finish the requests in flight, send `Drained`, exit."""


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Send `Pong`."""


class WriteLog(msgspec.Struct, frozen=True, tag="write_log"):
    """Write the access log to the file that is sent with this message, from now on (SIGHUP)."""


Downward = (
    Start
    | Begin
    | TrustAnchors
    | ClientCertificate
    | Change
    | MoreEndpoints
    | Commit
    | TicketKeys
    | EndpointUpdate
    | Listen
    | Unlisten
    | AnnounceDrain
    | Drain
    | WriteLog
    | Ping
)

# --- messages: worker to main process


class Ack(msgspec.Struct, frozen=True, tag="ack"):
    """All messages up to the publication of `version` are processed: its listeners accept, its rules route."""

    version: int


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The publication of `version` could not be installed; the version before it still serves."""

    version: int
    reason: str


class Drained(msgspec.Struct, frozen=True, tag="drained"):
    """No exchange is in flight any more; the worker exits."""


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """The response to `Ping`. During a long installation, a worker also sends it without a `Ping`."""


# What confines a worker, in the order in which it is applied (worker/confinement.py).
CONFINEMENT = ("no_new_privs", "capabilities", "not_dumpable", "landlock", "landlock_tcp", "landlock_scope", "seccomp")


class Confined(msgspec.Struct, frozen=True, tag="confined"):
    """The first message of a worker: it is confined. `missing`: the parts of CONFINEMENT that could not be applied, and
    the reasons."""

    missing: dict[str, str]


class Trouble(msgspec.Struct, frozen=True, tag="trouble"):
    """A warning for the log; the worker continues."""

    text: str


class Lost(msgspec.Struct, frozen=True, tag="lost"):
    """The descriptor of a `Listen` did not arrive, because the worker has none left: send it again later."""

    place: Place
    slot: int


class Avoided(msgspec.Struct, frozen=True, tag="avoided"):
    """The endpoints that the worker avoids now, because connections to them failed: the first AVOIDED of TCP, and of
    UDP."""

    tcp: Annotated[frozenset[Endpoint], msgspec.Meta(max_length=AVOIDED)]
    udp: Annotated[frozenset[Endpoint], msgspec.Meta(max_length=AVOIDED)]


class FailedEndpoint(msgspec.Struct, frozen=True):
    """The tries that failed because of one endpoint since the last report, by reason."""

    backend: str  # id; empty: of further endpoints, which the worker could not tell apart
    endpoint: Endpoint | None
    reasons: Annotated[dict[str, Annotated[int, msgspec.Meta(ge=0)]], msgspec.Meta(max_length=20)]


class EndpointFailures(msgspec.Struct, frozen=True, tag="failures"):
    """Failures of endpoints since the last report."""

    endpoints: Annotated[tuple[FailedEndpoint, ...], msgspec.Meta(max_length=FAILED)]


Upward = Confined | Ack | Refused | Drained | Pong | Trouble | Lost | Short | Avoided | EndpointFailures

# --- differences


def difference(
    old: Snapshot | None,
    new: Snapshot,
    slots: Callable[[Rule], RuleSlots] | None = None,
    listener_slot: Callable[[Listener], int] | None = None,
) -> tuple[Change, ...]:
    """The changes that turn `old` (None: nothing) into `new`, in the order to apply them. An object that is identical
    in both costs one comparison. `slots` and `listener_slot` return the counter slots (None: `other`)."""
    old = Snapshot() if old is None else old
    slots_of = slots or (lambda rule: RuleSlots())
    slot_of = listener_slot or (lambda listener: 0)
    return (
        *(UpsertBackend(id, one) for id, one in _changed(old.backends, new.backends)),
        *(SetEndpoints(backend, now) for backend, now in _changed(old.endpoints, new.endpoints)),
        *(UpsertCertificate(id, one) for id, one in _changed(old.certificates, new.certificates)),
        *(UpsertListener(listener, slot_of(listener)) for _, listener in _changed(old.listeners, new.listeners)),
        *(UpsertRule(rule, slots_of(rule)) for _, rule in _changed(old.rules, new.rules)),
        *(RemoveRule(id) for id in _gone(old.rules, new.rules)),
        *(RemoveListener(id) for id in _gone(old.listeners, new.listeners)),
        *(RemoveCertificate(id) for id in _gone(old.certificates, new.certificates)),
        *(RemoveEndpoints(backend) for backend in _gone(old.endpoints, new.endpoints)),
        *(RemoveBackend(id) for id in _gone(old.backends, new.backends)),
    )


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The entries that are new or changed, in the order of `new`."""
    keys = changed_keys(old, new)  # most unchanged objects are identical (`is`), so `!=` compares only rebuilt ones
    return [(key, new[key]) for key in sorted(keys) if key in new and (key not in old or old[key] != new[key])]


def _gone(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in changed_keys(old, new) if key not in new)


def publication(version: int, base: int, changes: Sequence[Change]) -> Iterator[Downward]:
    """The messages that take a worker from `base` to `version`."""
    endpoints = {change.backend: change.endpoints for change in changes if isinstance(change, SetEndpoints)}
    if base and len(endpoints) == len(changes):
        update = EndpointUpdate(version, base, endpoints)
        if is_one_fragment(update):
            yield update
            return
    yield Begin(version, base)
    known = _Shared({}, {})
    for change in changes:
        yield from _divided(change) if isinstance(change, SetEndpoints) else _sharing(change, known)
    yield Commit(version)


ChangeT = TypeVar("ChangeT", bound=msgspec.Struct)
UpsertT = TypeVar("UpsertT", UpsertBackend, UpsertListener)
_ANCHORED = {UpsertBackend: "backend", UpsertListener: "listener"}  # the fields that may have trust anchors


class _Shared(NamedTuple):
    """What was sent: the numbers of TrustAnchors and ClientCertificates."""

    anchors: dict[bytes, int]
    certificates: dict[Certificate, int]


def _sharing(change: Change, known: _Shared) -> Iterator[TrustAnchors | ClientCertificate | Change]:
    """A backend or listener without its trust anchors and client certificate, which are sent once."""
    shown = certificate_of(change.backend) if isinstance(change, UpsertBackend) else None
    if shown is not None and shown not in known.certificates:
        known.certificates[shown] = len(known.certificates) + 1
        yield ClientCertificate(len(known.certificates), shown)
    if isinstance(change, UpsertBackend) and shown is not None:
        change = _with_certificate(change, None, known.certificates[shown])
    pem = anchors_of(getattr(change, _ANCHORED.get(type(change), ""), None))
    if pem and pem not in known.anchors:
        known.anchors[pem] = len(known.anchors) + 1
        yield TrustAnchors(len(known.anchors), pem)
    yield _with_anchors(change, b"", known.anchors[pem]) if pem else change


def restored(change: UpsertT, anchors: Mapping[int, bytes]) -> UpsertT:
    """With its trust anchors. `anchors`: those of the publication, by number. ValueError: they are not among these."""
    if change.anchors and change.anchors not in anchors:
        name = backend_label(change.id) if isinstance(change, UpsertBackend) else change.listener.id
        raise ValueError(f"{name} has trust anchors that were not sent")
    return _with_anchors(change, anchors[change.anchors], 0) if change.anchors else change


def restored_backend(
    change: UpsertBackend, anchors: Mapping[int, bytes], certificates: Mapping[int, Certificate]
) -> UpsertBackend:
    """Also with its client certificate. `certificates`: as `anchors`."""
    if change.certificate and change.certificate not in certificates:
        raise ValueError(f"{backend_label(change.id)} has a client certificate that was not sent")
    if change.certificate:
        change = _with_certificate(change, certificates[change.certificate], 0)
    return restored(change, anchors)


def _with_certificate(change: UpsertBackend, certificate: Certificate | None, number: int) -> UpsertBackend:
    backend = with_certificate(change.backend, certificate)
    return msgspec.structs.replace(change, backend=backend, certificate=number)


def _with_anchors(change: ChangeT, pem: bytes, number: int) -> ChangeT:
    """With these trust anchors, and their number: 0 if they are in it."""
    field = _ANCHORED[type(change)]
    return msgspec.structs.replace(change, **{field: with_anchors(getattr(change, field), pem)}, anchors=number)


def _divided(change: SetEndpoints) -> Iterator[MoreEndpoints | SetEndpoints]:
    """A worker decodes a whole message in one step, so a message has a limited number of endpoints."""
    last = max(0, len(change.endpoints) - 1) // ENDPOINTS * ENDPOINTS
    for start in range(0, last, ENDPOINTS):
        yield MoreEndpoints(change.backend, change.endpoints[start : start + ENDPOINTS])
    yield SetEndpoints(change.backend, change.endpoints[last:]) if last else change
