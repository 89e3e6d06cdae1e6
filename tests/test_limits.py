"""docs/reference/limits.md has a row for each limit: compares it with the options and the constants in the code."""

import re
from functools import cache
from pathlib import Path

import pytest

from fastroute.options import LIMITS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/reference/limits.md"
CONSTANT = re.compile(r"^(?: {4})?([A-Z][A-Z_]*) *= *([0-9][0-9_ *+<]*?) *(?:#.*)?$", re.MULTILINE)
LIMIT = re.compile(r"(^|_)(MOST|LONGEST|LARGEST)(_|$)")

# Key: a file and a constant in it. Value: words of its row, before the value.
ROWS = {
    "ext/datagrams/flow.pyx TRIES": "endpoints that are tried for a flow",
    "ext/exchange/handshake.pyx UNREAD_MOST": "output of handshakes that clients have not read",
    "ext/exchange/proxy_protocol.pxd PREFACE_MOST": "PROXY header",
    "ext/exchange/proxy_protocol.pyx LINE_MOST": "PROXY header",
    "ext/exchange/response.pyx INTERIM_MOST": "interim responses (1xx) before a response",
    "ext/exchange/upstream.pxd POOL_MOST": "idle connections to an endpoint",
    "ext/exchange/upstream.pyx PARENTS_MOST": "HTTP/2 connections of a worker to an endpoint",
    "ext/exchange/tracing.pyx VALUE_MOST": "attributes of type Header of a policy",
    "ext/http1/body.pxd CHUNK_SURPLUS_MOST": "extensions of a chunk",
    "ext/http1/field.pxd NOMINATED_MOST": "field names in the `Connection` fields",
    "ext/http1/parser.pyx LEADING_MOST": "empty lines before a request",
    "ext/http2/chores.pxd CHORES_MOST": "frames that do nothing: PING",
    "ext/http2/chores.pxd RESETS_MOST": "streams that the client resets",
    "ext/http2/incoming.pyx BLOCKS_MOST": "fields of requests that were received and not processed",
    "ext/http2/session.pxd STREAMS_MOST": "streams of an HTTP/2 connection to a backend",
    "ext/http2/session.pxd ACCEPTED_MOST": "streams of a connection at the same time",
    "ext/http2/session.pxd STREAM_WINDOW": "content of a stream, and of all streams",
    "ext/http2/session.pxd CONNECTION_WINDOW": "content of a stream, and of all streams",
    "ext/http2/session.pxd ANSWER_WINDOW": "content of a response that waits for its client",
    "ext/message/forwarded.pyx REQUEST_ID_MOST": "`X-Request-ID` of a trusted proxy",
    "ext/message/limits.pxd HOST_MOST": "host name of a request",
    "ext/message/limits.pxd METHOD_MOST": "method of a request",
    "ext/reactor/failures.pxd FAILING_MOST": "endpoints of backends whose [failures]",
    "ext/reactor/exchange.pxd TRIES_MOST": "endpoints that are tried for a connection",
    "ext/reactor/parent.pxd PONG_TIME": "time in which a silent HTTP/2 backend must answer",
    "ext/reactor/trace.pxd ATTEMPTS_MOST": "tries of a request that have spans",
    "ext/routing/mirror.pxd BEHIND_ALL": "unsent bytes of all mirrored requests",
    "ext/routing/mirror.pxd BEHIND_MOST": "unsent bytes of a mirrored request",
    "ext/routing/mirror.pxd MIRRORS_MOST": "mirrored requests in progress",
    "ext/routing/regex.pxd PATH_MOST": "path that is compared with a regular expression",
    "ext/routing/regex.pxd VALUE_MOST": "value of a header or query parameter that is compared",
    "ext/routing/regex.pyx PROGRAM_MOST": "instructions of a regular expression",
    "ext/routing/retry.pxd KEPT_MOST": "body that is kept for a retry",
    "ext/routing/sampling.pxd NAMES_MOST": "attributes of type Header of a policy",
    "ext/tls/admission.pxd SHOWN_MOST": "all certificates that a client shows",
    "ext/tls/admission.pyx ENTRIES_MOST": "certificates that a client shows: number",
    "ext/tls/admission.pyx EXTENDED_MOST": "certificates that a client shows: number",
    "ext/tls/admission.pyx EXTENSIONS_MOST": "certificates that a client shows: number",
    "ext/tls/admission.pyx LEAF_MOST": "certificates that a client shows: number",
    "ext/tls/admission.pyx NAMED_MOST": "names of CAs that are sent to clients",
    "ext/tls/hello.pxd HELLO_MOST": "ClientHello",
    "ext/tls/identity.pxd IDENTITY_MOST": "value of X-Forwarded-Client-Cert",
    "ext/tls/identity.pyx SUBJECT_MOST": "value of X-Forwarded-Client-Cert",
    "ext/tls/keycost.pyx DSA_MOST": "RSA keys, and DSA keys, of these certificates",
    "ext/tls/keycost.pyx EXPONENT_MOST": "RSA keys, and DSA keys, of these certificates",
    "ext/tls/keycost.pyx RSA_MOST": "RSA keys, and DSA keys, of these certificates",
    "ext/tls/namecost.pxd COMPARED_MOST": "bytes of the certificates that a backend or client shows",
    "ext/tls/namecost.pxd PARSED_MOST": "elements (ASN.1) in the extensions",
    "ext/tls/names.pxd NAMES_MOST": "names in the subjectAltName",
    "ext/tls/verification.pyx CHAIN_MOST": "certificates that a backend shows",
    "ext/tls/verification.pyx DEPTH": "certificates that a backend shows",
    "fastroute/admin/probe.py MOST_ADMIN": "connections",
    "fastroute/admin/probe.py MOST_HEALTH": "connections",
    "fastroute/admin/probe.py MOST_METRICS": "connections",
    "fastroute/apiserver/objects.py MOST_POINTS": "addresses in the status of a Service",
    "fastroute/graph/admission.py MOST_PER_LISTENER": "matching time that all routes",
    "fastroute/graph/admission.py MOST_PER_NAMESPACE": "matching time that the routes of one",
    "fastroute/graph/admission.py MOST_ENTRIES": "matches with conditions",
    "fastroute/graph/automaton.py MOST_STATES": "states of the automaton",
    "fastroute/graph/certificate.py MOST_ISSUER_RSA": "RSA keys of the other certificates",
    "fastroute/graph/certificate.py MOST_KEY": "`tls.key`",
    "fastroute/graph/certificate.py MOST_RSA": "RSA key of the server certificate",
    "fastroute/graph/conditions.py MOST_ENDPOINTS": "refused endpoints that a message names",
    "fastroute/graph/fix.py LONGEST_STANZA": "labels and values of a namespace selector",
    "fastroute/graph/fix.py MOST_NAMES": "labels and values of a namespace selector",
    "fastroute/graph/frontend.py MOST": "CA certificates for clients",
    "fastroute/graph/httproute.py MOST_ATTEMPTS": "`retry.attempts`",
    "fastroute/graph/httproute.py MOST_ELEMENTS": "elements of a PathPrefix",
    "fastroute/graph/httproute.py MOST_EXPRESSIONS": "regular expressions of a route",
    "fastroute/graph/httproute.py MOST_STATES_OF_A_ROUTE": "states of the automata",
    "fastroute/graph/httproute.py MOST_STEPS_OF_A_ROUTE": "such steps for all regular expressions",
    "fastroute/graph/listenerset.py MOST_LISTENERS": "listeners in the ListenerSets",
    "fastroute/graph/memory.py MOST_OF_NAMESPACE": "estimated memory of all routes",
    "fastroute/graph/memory.py MOST_OF_ROUTE": "estimated memory of a route",
    "fastroute/graph/pattern.py MOST_CONNECTED": "characters, classes and assertions inside of loops",
    "fastroute/graph/pattern.py MOST_DEPTH": "depth of the groups",
    "fastroute/graph/pattern.py MOST_LISTED": "different characters outside of ASCII",
    "fastroute/graph/pattern.py MOST_NODES": "characters, classes and assertions of",
    "fastroute/graph/pattern.py MOST_STEPS": "steps that fastroute takes",
    "fastroute/graph/policy_room.py MOST": "estimated memory of all BackendTLSPolicies",
    "fastroute/graph/ration.py MOST_OF_NAMESPACE": "endpoints of the Services of a namespace",
    "fastroute/graph/ration.py MOST_OF_SERVICE": "endpoints of a Service",
    "fastroute/graph/regex.py MOST_LENGTH": "length of a regular expression",
    "fastroute/listed.py LONGEST": "names in a list of a message",
    "fastroute/overview.py MOST": "rows of a table of `fastroute status`",
    "fastroute/reporting/grantlog.py AT_MOST": "log lines about problems",
    "fastroute/reporting/problemlog.py AT_MOST": "log lines about problems",
    "fastroute/reporting/servinglog.py AT_MOST": "log lines about problems",
    "fastroute/reporting/statuslog.py AT_MOST": "log lines about problems",
    "fastroute/resources/l4_shapes.py MOST_HOSTNAMES": "hostnames of a TLSRoute",
    "fastroute/resources/telemetry.py MOST_HEADERS": "attributes of type Header of a policy",
    "fastroute/resources/web_origins.py MOST_ORIGINS": "origins in the annotation",
    "fastroute/status/holder.py MOST_ADDRESSES": "Gateways in the status",
    "fastroute/status/policy.py MOST_ANCESTORS": "Gateways in the status",
    "fastroute/view/choice.py MOST_BACKENDS": "values of `backend` in a question",
    "fastroute/supervisor/failures.py MOST": "endpoints whose failures are kept",
    "fastroute/worker/anchors.py MOST": "CA certificates of the operating system",
    "fastroute/resources/core.py MOST_AUTHORITIES": "`ca.crt` of a ConfigMap",
    "fastroute/resources/core.py MOST_CHARACTERS": "`tls.crt` and `tls.key`",
    "fastroute/resources/decode.py MOST_FAULTS": "problems, and warnings, of an object",
    "fastroute/options.py MOST_WATCHED": "namespaces of `--watch-namespace`",
    "fastroute/resources/route_rules.py MOST_MATCHES": "matches in all rules",
    "fastroute/source/content.py MOST": "size of a manifest, also",
    "fastroute/source/kubernetes/named.py MOST": "Secrets that are watched by name",
    "fastroute/source/kubernetes/survey.py MOST_NAMED": "Secrets, and ConfigMaps, that `check --kubernetes`",
    "fastroute/source/manifest.py MOST_PROBLEMS": "problems, and warnings, of a manifest",
    "fastroute/status/condition.py LONGEST_MESSAGE": "message of a condition",
    "fastroute/status/condition.py MOST_SAID": "messages in one status",
    "fastroute/traces/batch.py BATCH_LARGEST": "spans of a batch for such a collector",
    "fastroute/traces/delivery.py ANSWER_LARGEST": "answer of such a collector",
    "fastroute/traces/delivery.py THREADS_MOST": "batches that are sent to collectors of policies at the same time",
    "fastroute/traces/delivery.py TRIES_MOST": "tries of a batch for the collector of a policy",
    "fastroute/traces/room.py SLOTS_MOST": "batches that are sent to collectors of policies at the same time",
    "fastroute/traces/spans.py ADDED_MOST": "characters of the attributes that a policy adds to a span",
    "fastroute/traces/usual.py WAITING_MOST": "batches that wait for the collector of `--otlp`",
    "fastroute/view/certificates.py MOST_USERS": "refused references in `/api/v1/status`",
    "fastroute/view/endpoints.py MOST": "endpoints of a backend, listeners of a Gateway",
    "fastroute/view/gateways.py MOST": "endpoints of a backend, listeners of a Gateway",
    "fastroute/view/paging.py MOST": "items of a page of the admin API",
    "fastroute/view/paging.py MOST_ROWS": "endpoints, rules, conditions and other parts of a page",
    "fastroute/view/referring.py MOST_REFUSED": "refused references in `/api/v1/status`",
    "fastroute/writing/event.py LONGEST_NOTE": "message of an Event",
    "fastroute/writing/event.py MOST_WAITING": "Events that wait",
}
# Limits of steps, pools, buffers and texts that nobody can notice, or that follow from a standard or another limit.
OTHERS = """
ext/datagrams/segments.pyx MOST
ext/engine/listener.pyx ACCEPT_MOST RESUME_MOST
ext/engine/visit.pyx STREAMS_MOST
ext/exchange/receiver.pxd HELD_MOST
ext/exchange/upstream.pxd HELD_MOST
ext/exchange/upstream.pyx UNUSABLE_MOST
ext/http1/body.pxd CHUNK_HEAD_MOST
ext/http2/chores.pxd UPDATES_MOST
ext/http2/parent.pyx SEND_MOST
ext/memory/decimal.pxd DECIMAL_MOST
ext/memory/entropy.pyx SCRIPT_MOST
ext/memory/pool.pyx LARGEST_STEP
ext/message/fieldname.pxd NAMES_MOST NAME_MOST
ext/message/grpc.pyx DIGITS_MOST
ext/message/number.pxd LENGTH_DIGITS_MOST
ext/message/trailer.pyx NAMES_MOST NAME_MOST
ext/reactor/encryption.pyx OWED_MOST
ext/reactor/exchange.pxd TRIED_MOST
ext/reactor/exchange.pyx SPARE_MOST
ext/reactor/parent.pxd BATCH_MOST FRAMES_MOST
ext/reactor/reactor.pxd LONGEST
ext/reactor/sealing.pyx READ_MOST
ext/routing/balancer.pyx AVOID_MOST
ext/routing/loop.pxd MARK_MOST
ext/routing/mirror.pxd ANSWER_MOST
ext/routing/node.pxd CONDITIONS_MOST
ext/routing/rule.pxd BEGINNING_MOST
ext/tls/certificate.pyx CONTEXTS_MOST KEY_MOST SIGNATURE_MOST
ext/tls/context.pyx PROTOCOLS_MOST
ext/tls/hello.pxd NAME_MOST
ext/tls/hello.pyx RECORD_MOST
ext/tls/keycost.pyx CURVE_MOST
ext/tls/secure.pyx KINDS_MOST
ext/tls/ticket.pyx KEYS_MOST
ext/tls/tls.pyx IDLE_MOST READS_MOST
fastroute/apiserver/client.py LONGEST_LINE
fastroute/apiserver/objects.py MOST_ASKED
fastroute/explain/considered.py AT_MOST
fastroute/explain/otherhost.py AT_MOST
fastroute/graph/automaton.py MOST_MEMORY
fastroute/graph/fix.py LONGEST_NAME
fastroute/graph/grpcroute.py MOST_SHOWN
fastroute/graph/infrastructure.py LONGEST
fastroute/graph/overlap.py MOST_NAMED
fastroute/graph/pattern.py MOST_REPEATED
fastroute/graph/selector.py MOST_REMEMBERED
fastroute/lint/l4.py MOST_NAMED
fastroute/listed.py LONGEST_TEXT
fastroute/resources/route_shapes.py ORIGIN_MOST
fastroute/traces/delivery.py LONGEST_REASON
fastroute/writing/event.py LONGEST_NAME LONGEST_REPORTER
fastroute/view/failing.py MOST
"""


@cache
def constants(file: str) -> dict[str, int]:
    found = CONSTANT.findall((ROOT / file).read_text())
    return {name: eval(value.replace("_", ""), {"__builtins__": {}}) for name, value in found}


@cache
def rows() -> list[str]:
    return [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]


def written(value: int) -> set[str]:
    """How the page may write a value, also of bytes, milliseconds and nanoseconds."""
    shown = {f"{value:,}"}
    for size, unit in (
        (1 << 10, "KiB"),
        (1 << 20, "MiB"),
        (1 << 30, "GiB"),
        (1_000, "KB"),
        (1_000, "s"),
        (1_000, "µs"),
    ):
        if value % size == 0:
            shown.add(f"{value // size:,} {unit}")
    return shown


@pytest.mark.parametrize("constant", ROWS)
def test_the_row_of_a_constant_has_its_value(constant: str) -> None:
    file, name = constant.split()
    value = constants(file)[name]
    mine = [row for row in rows() if row.startswith(f"| {ROWS[constant]}") or f"| [{ROWS[constant]}" in row]
    assert mine, f"no row begins with {ROWS[constant]!r}"
    found = any(re.search(rf"(?<![\d,]){re.escape(text)}(?![\d,]*\d)", row) for row in mine for text in written(value))
    assert found, f"{sorted(written(value))} is in none of {mine}"


@pytest.mark.parametrize("option", [option.name for option in LIMITS])
def test_every_option_of_limits_has_a_row(option: str) -> None:
    assert any(f"`{option}`" in row.split(" | ")[2] for row in rows() if row.count(" | ") >= 3), option


def test_every_limit_of_the_code_is_known_here() -> None:
    """Add a new one to ROWS, with a row, or to OTHERS."""
    files = [path for pattern in ("*.pyx", "*.pxd") for path in (ROOT / "ext").rglob(pattern)]
    files += [path for path in (ROOT / "fastroute").rglob("*.py") if "ext" not in path.relative_to(ROOT).parts]
    there = {f"{path.relative_to(ROOT)} {name}" for path in files for name in constants(str(path.relative_to(ROOT)))}
    others = {f"{file} {name}" for file, *names in map(str.split, OTHERS.strip().splitlines()) for name in names}
    assert {one for one in there if LIMIT.search(one.split()[1])} - ROWS.keys() == others
