"""Differences between Snapshots, and the messages that transfer them."""

import msgspec
import pytest
from applying import apply
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from fastroute import wire
from fastroute.place import Place, Transport
from fastroute.publication import (
    ENDPOINTS,
    Ack,
    Begin,
    Change,
    ClientCertificate,
    Commit,
    Downward,
    EndpointUpdate,
    Listen,
    MoreEndpoints,
    Refused,
    RemoveBackend,
    RemoveEndpoints,
    RemoveListener,
    RemoveRule,
    RuleSlots,
    SetEndpoints,
    Start,
    TicketKeys,
    TrustAnchors,
    UpsertBackend,
    UpsertCertificate,
    UpsertListener,
    UpsertRule,
    Upward,
    difference,
    publication,
    restored,
    restored_backend,
)
from fastroute.settings import Limits
from fastroute.shortage import Short
from fastroute.snapshot import (
    Backend,
    BackendTLS,
    Certificate,
    ClientValidation,
    Endpoint,
    HeaderModifier,
    HeaderValue,
    Listener,
    ListenerTLS,
    Match,
    PathMatch,
    Redirect,
    Rewrite,
    Rule,
    Snapshot,
    ValueMatch,
    WeightedBackend,
)
from fastroute.wire import FRAGMENT, Decoder, WireError, encode


def listener(name: str, port: int = 8080) -> Listener:
    return Listener(
        id=f"infra/web/{name}@127.0.0.1",
        gateway="infra/web",
        name=name,
        place=Place(Transport.TCP, "127.0.0.1", port),
        spec_port=80,
        hostname="",
    )


def rule(name: str, path: str = "/", weight: int = 1) -> Rule:
    return Rule(
        id=f"infra/web/http@127.0.0.1|HTTPRoute|infra/{name}|0",
        listener="infra/web/http@127.0.0.1",
        hostnames=("",),
        gateway="infra/web",
        listener_name="http",
        route=f"infra/{name}",
        route_kind="HTTPRoute",
        name="0",
        matches=(
            Match(
                path=PathMatch("Exact", path),
                method="GET",
                headers=(ValueMatch("x-team", "blue"),),
                query=(ValueMatch("v", "[0-9]+", "RegularExpression"),),
                rank=(0, -1, -1, "", f"infra/{name}", 0, 0),
            ),
        ),
        filters=(
            HeaderModifier(direction="request", set=(HeaderValue("X-A", "1"),), remove=("X-B",)),
            Rewrite(hostname="internal", prefix=""),
        ),
        backends=(
            WeightedBackend(weight=weight, backend="infra/a:80"),
            WeightedBackend(weight=0, backend="infra/b:80", status=500, reason="reference_refused"),
        ),
        request_timeout_ms=500,
    )


ONE, TWO = (Endpoint("127.0.0.1", 1),), (Endpoint("127.0.0.1", 1), Endpoint("::1", 2))
NAMES = st.sampled_from("abcdefgh")
SECURED = (
    BackendTLS(server_name="a.example.com", trust_anchors=b"CA"),
    BackendTLS(
        server_name="a.example.com",
        trust_anchors=b"CA",
        subject_names=("b.example.com",),
        client_certificate=Certificate(b"chain", b"key"),
    ),
)
SNAPSHOTS = st.builds(
    lambda listeners, rules, backends, endpoints, certificates: Snapshot(
        listeners={(made := listener(name, port)).id: made for name, port in sorted(listeners.items())},
        rules={(made := rule(name, path)).id: made for name, path in sorted(rules.items())},
        backends={f"infra/{name}:80": value for name, value in sorted(backends.items())},
        endpoints={f"infra/{name}:80": value for name, value in sorted(endpoints.items())},
        certificates={f"certs/{name}": Certificate(b"chain", key) for name, key in sorted(certificates.items())},
    ),
    st.dictionaries(NAMES, st.sampled_from([80, 81])),
    st.dictionaries(NAMES, st.sampled_from(["/", "/x"])),
    st.dictionaries(NAMES, st.sampled_from([Backend(), *(Backend(tls=one) for one in SECURED)])),
    st.dictionaries(NAMES, st.sampled_from([(), ONE, TWO])),
    st.dictionaries(NAMES, st.sampled_from([b"key one", b"key two"])),
)


@given(SNAPSHOTS, SNAPSHOTS)
def test_the_difference_applied_gives_the_new_snapshot(old: Snapshot, new: Snapshot) -> None:
    changed = apply(old, difference(old, new))
    assert changed == new
    assert msgspec.msgpack.encode(changed) == msgspec.msgpack.encode(new)


@given(SNAPSHOTS)
def test_the_whole_is_the_difference_from_nothing(snapshot: Snapshot) -> None:
    assert apply(None, difference(None, snapshot)) == snapshot


@given(SNAPSHOTS)
def test_equal_snapshots_differ_by_nothing(snapshot: Snapshot) -> None:
    again = msgspec.structs.replace(
        snapshot, rules={id: msgspec.structs.replace(r) for id, r in snapshot.rules.items()}
    )
    assert difference(snapshot, again) == ()


def test_a_difference_names_what_changed_and_nothing_else() -> None:
    old = Snapshot(
        listeners={x.id: x for x in (listener("a"), listener("b"))},
        rules={x.id: x for x in (rule("a"), rule("b"), rule("c"))},
        backends={"infra/a:80": Backend(), "infra/b:80": Backend(), "infra/c:80": Backend()},
        endpoints={"infra/a:80": ONE, "infra/b:80": ONE, "infra/c:80": ONE},
    )
    new = Snapshot(
        listeners={x.id: x for x in (listener("a", 81), listener("c"))},
        rules={x.id: x for x in (rule("b"), rule("c", "/new"), rule("d"))},
        backends={"infra/a:80": Backend(), "infra/b:80": Backend(tls=SECURED[0]), "infra/d:80": Backend()},
        endpoints={"infra/a:80": TWO, "infra/b:80": ONE, "infra/d:80": ()},
    )
    assert difference(old, new, lambda rule: RuleSlots((1, 2), 3, 4), lambda listener: 5) == (
        UpsertBackend("infra/b:80", Backend(tls=SECURED[0])),
        UpsertBackend("infra/d:80", Backend()),
        SetEndpoints("infra/a:80", TWO),
        SetEndpoints("infra/d:80", ()),
        UpsertListener(listener("a", 81), 5),
        UpsertListener(listener("c"), 5),
        UpsertRule(rule("c", "/new"), RuleSlots((1, 2), 3, 4)),
        UpsertRule(rule("d"), RuleSlots((1, 2), 3, 4)),
        RemoveRule(rule("a").id),
        RemoveListener(listener("b").id),
        RemoveEndpoints("infra/c:80"),
        RemoveBackend("infra/c:80"),
    )


def test_endpoints_alone_are_one_message() -> None:
    changes = (SetEndpoints("infra/a:80", TWO), SetEndpoints("infra/b:80", ()))
    assert list(publication(7, 6, changes)) == [EndpointUpdate(7, 6, {"infra/a:80": TWO, "infra/b:80": ()})]


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        (6, (SetEndpoints("infra/a:80", ONE), UpsertRule(rule("a")))),
        (6, (UpsertBackend("infra/a:80", Backend()), SetEndpoints("infra/a:80", ONE))),
        (0, (SetEndpoints("infra/a:80", ONE),)),
    ],
    ids=["with rules", "with a backend", "from nothing"],
)
def test_anything_else_has_a_begin_and_a_commit(base: int, changes: tuple[Change, ...]) -> None:
    assert list(publication(7, base, changes)) == [Begin(7, base), *changes, Commit(7)]


def test_trust_anchors_are_sent_once() -> None:
    """Thousands of backends may have the same 200 KiB of CA certificates."""
    other = msgspec.structs.replace(SECURED[0], trust_anchors=b"another CA")
    system = msgspec.structs.replace(SECURED[0], trust_anchors=b"")
    backends = [Backend(), *(Backend(tls=tls) for tls in (SECURED[0], SECURED[1], other, system, SECURED[0]))]
    changes = [UpsertBackend(f"infra/{number}:80", backend) for number, backend in enumerate(backends)]
    _, *messages, _ = publication(1, 0, changes)
    sent = [message for message in messages if isinstance(message, TrustAnchors)]
    assert sent == [TrustAnchors(1, b"CA"), TrustAnchors(2, b"another CA")]
    rest = [message for message in messages if isinstance(message, UpsertBackend)]
    assert [message.anchors for message in rest] == [0, 1, 1, 2, 0, 1]
    assert "CA" not in str(rest)
    anchors = {one.number: one.pem for one in sent}
    certificates = {one.number: one.certificate for one in messages if isinstance(one, ClientCertificate)}
    assert [restored_backend(message, anchors, certificates) for message in rest] == changes
    with pytest.raises(ValueError, match="infra/1:80 has trust anchors that were not sent"):
        restored(rest[1], {})


def test_listeners_share_trust_anchors() -> None:
    def validating(number: int, pem: bytes) -> UpsertListener:
        tls = ListenerTLS(certificates=("c",), clients=ClientValidation(trust_anchors=pem, optional=True))
        return UpsertListener(msgspec.structs.replace(listener(str(number)), tls=tls), number)

    backend = UpsertBackend("infra/b:80", Backend(tls=msgspec.structs.replace(SECURED[0], trust_anchors=b"CA")))
    changes = [backend, *(validating(number, pem) for number, pem in enumerate((b"CA", b"new CA", b"new CA")))]
    changes.append(UpsertListener(listener("plain")))
    _, *messages, _ = publication(1, 0, changes)
    anchors = {one.number: one.pem for one in messages if isinstance(one, TrustAnchors)}
    assert anchors == {1: b"CA", 2: b"new CA"}
    rest = [one for one in messages if isinstance(one, UpsertBackend | UpsertListener)]
    assert [one.anchors for one in rest] == [1, 1, 2, 2, 0]
    assert [restored(one, anchors) for one in rest] == changes


def test_a_publication_may_be_empty() -> None:
    assert list(publication(1, 0, ())) == [Begin(1, 0), Commit(1)]


def test_a_private_key_is_in_no_message_that_is_shown() -> None:
    message = UpsertBackend("infra/a:80", Backend(tls=SECURED[1]))
    assert "key" not in f"{message!r}{pretty_repr(message)}"


MESSAGES = [
    Start(limits=Limits(max_body=10), request_series=9, histograms=3, trusted_proxies=("10.0.0.0/8",)),
    Begin(1, 0),
    UpsertBackend("infra/a:80", Backend(tls=SECURED[1])),
    SetEndpoints("infra/a:80", TWO),
    UpsertCertificate("certs/a", Certificate(b"chain", b"key")),
    UpsertListener(listener("a")),
    UpsertListener(listener("b"), 7),
    TicketKeys((b"x" * 80, b"y" * 80)),
    UpsertRule(rule("a"), RuleSlots((1, 2), 3, 4)),
    UpsertRule(rule("b", "/" + "x" * 3 * FRAGMENT)),
    UpsertRule(msgspec.structs.replace(rule("c"), filters=(Redirect(status=301, scheme="https", full_path="/"),))),
    Commit(1),
    Listen(Place(Transport.TCP, "127.0.0.1", 80), 1),
    EndpointUpdate(2, 1, {"infra/a:80": ()}),
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(MESSAGES), max_size=6), st.lists(st.integers(1, 2 * FRAGMENT), min_size=1, max_size=20))
def test_messages_come_out_as_they_went_in_however_the_bytes_are_cut(
    messages: list[Downward], sizes: list[int]
) -> None:
    data, decoder, received, at = b"".join(map(encode, messages)), Decoder[Downward](Downward), [], 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        decoder.feed(data[at : at + size])
        at += size
        received += decoder
    assert received == messages
    assert decoder.pending == 0


def test_every_fragment_keeps_to_its_size() -> None:
    data, sizes = encode(UpsertRule(rule("b", "/" + "x" * 3 * FRAGMENT))), []
    while data:
        size = int.from_bytes(data[:4], "big") & 0x7FFFFFFF
        sizes.append(4 + size)
        data = data[4 + size :]
    assert sizes[:3] == [FRAGMENT] * 3
    assert len(sizes) == 4
    assert sizes[3] <= FRAGMENT


def test_the_way_back() -> None:
    decoder = Decoder[Upward](Upward)
    decoder.feed(encode(Ack(3)) + encode(Refused(4, "base 2 is not held")) + b"\0")
    assert list(decoder) == [Ack(3), Refused(4, "base 2 is not held")]
    assert decoder.pending == 1


@pytest.mark.parametrize(
    "data",
    [
        (FRAGMENT + 1).to_bytes(4, "big"),
        (3).to_bytes(4, "big") + b"abc",
        encode(Begin(1, 0)),
        (1).to_bytes(4, "big") + b"\x80",
    ],
    ids=["too long", "not msgpack", "the other direction", "no tag"],
)
def test_a_broken_stream_is_given_up(data: bytes) -> None:
    decoder = Decoder[Upward](Upward)
    decoder.feed(data)
    with pytest.raises(WireError):
        decoder.next_message()


def test_a_message_cannot_grow_for_ever() -> None:
    decoder = Decoder[Upward](Upward)
    piece = (1 << 31 | FRAGMENT - 4).to_bytes(4, "big") + bytes(FRAGMENT - 4)

    def send_for_ever() -> None:
        while decoder.next_message() is None:
            decoder.feed(piece)

    with pytest.raises(WireError):
        send_for_ever()


def test_keys_are_not_shown() -> None:
    """However a message or a Snapshot is converted to text."""
    secret = Certificate(b"CHAIN", b"SECRET")
    shown = [secret, Snapshot(certificates={"certs/a": secret}), UpsertCertificate("certs/a", secret)]
    keys = TicketKeys((b"SECRET" * 16,))
    for one in (*shown, keys):
        text = f"{one!r} {one!s} {pretty_repr(one)}"
        assert "SECRET" not in text
        assert "CHAIN" not in text


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\x82\xa4type\xa5lost\xff\xa4slot\x01", id="a tag that is not UTF-8"),
        pytest.param(b"\x82\xa4type\xa7trouble\xa4text\xa2\xc3\x28", id="a text that is not UTF-8"),
        pytest.param(b"\x83\xa4type\xa3ack\xa7version\x01\xa1x" + b"\x91" * 5000 + b"\xc0", id="deep nesting"),
    ],
)
def test_what_a_hostile_worker_sends_is_a_wire_error(body: bytes) -> None:
    """Any other exception would end the main process."""
    decoder = Decoder[Upward](Upward)
    decoder.feed(len(body).to_bytes(4, "big") + body)
    with pytest.raises(WireError):
        decoder.next_message()


@pytest.mark.parametrize("count", [2_500, ENDPOINTS, ENDPOINTS + 1, 3 * ENDPOINTS])
def test_many_endpoints_are_sent_in_parts(count: int) -> None:
    """A worker decodes a message at once, so no message has more than ENDPOINTS endpoints."""
    endpoints = tuple(Endpoint("10.0.0.1", port) for port in range(1, count + 1))
    begin, *parts, last, commit = publication(7, 0, [SetEndpoints("infra/a:80", endpoints)])
    assert (begin, commit) == (Begin(7, 0), Commit(7))
    assert [type(part) for part in parts] == [MoreEndpoints] * (-(-count // ENDPOINTS) - 1)
    assert isinstance(last, SetEndpoints)
    everything = [part for part in (*parts, last) if isinstance(part, MoreEndpoints | SetEndpoints)]
    assert all(0 < len(part.endpoints) <= ENDPOINTS for part in everything)
    assert tuple(one for part in everything for one in part.endpoints) == endpoints


@pytest.mark.parametrize(
    "wrong", [{"use": "other"}, {"error": 0}, {"error": 1 << 40}, {"times": -1}, {"times": 1 << 40}]
)
def test_a_shortage_with_an_impossible_value_is_refused(wrong: dict[str, object]) -> None:
    """A worker that was taken over cannot add labels to a metric."""
    decoder = Decoder[Upward](Upward)
    decoder.feed(encode(msgspec.structs.replace(Short("accept", 24, 1), **wrong)))
    with pytest.raises(WireError):
        decoder.next_message()


def test_endpoints_that_are_too_many_for_a_message_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MESSAGE_LIMIT", 100_000)
    many = tuple(Endpoint(f"10.0.{number // 250}.{number % 250}", 80) for number in range(3 * ENDPOINTS))
    changes = [SetEndpoints(f"a/s{number}:80", many) for number in range(3)]
    messages = list(publication(2, 1, changes))
    assert (messages[0], messages[-1]) == (Begin(2, 1), Commit(2))
    assert all(len(wire.encode(message)) <= 100_000 for message in messages)
