"""Parses field lines (RFC 9112 section 5), and evaluates them for framing (6.3) and for the connection (9.3, 9.6).

The parser is strict: a name is a token, a colon follows immediately, a value has no control bytes except HTAB, a line
ends in CRLF, and no line is folded. Each line is judged byte by byte in order, so the result does not depend on how the
head was split.

Hop-by-hop fields are marked `dropped` (RFC 9110 section 7.6.1): those in DROPPED, and those that Connection nominates.
The fields that a proxy must interpret itself are found by a perfect hash over the length and three octets.

An Upgrade is used if it is the only such field, Connection nominates it, the message is HTTP/1.1 (RFC 9110 section
7.8), and its protocols carry no HTTP requests (protocol.pxd).

TE is not forwarded as received: it applies to this hop. But trailers are passed on, so `trailers` in TE is noted, and
the writer adds it again. Proxy-Authenticate and Proxy-Authorization apply between a client and its own proxy. A name
that differs from a known one only by '_' instead of '-' is not forwarded either: CGI and WSGI cannot distinguish them,
so they would trust `X_Forwarded_For`.
"""

from libc.stdint cimport UINT32_MAX, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memset

from fastroute.ext.http1.head cimport (
    DROPPED_HERE, FIELDS_SPARE, FIELD_CLAIM, FIELD_CONNECTION, FIELD_CONTENT_LENGTH, FIELD_COUNT, FIELD_DATE,
    FIELD_EXPECT, FIELD_HOST, FIELD_KEEP_ALIVE, FIELD_LOCATION, FIELD_LOOP, FIELD_MAX_FORWARDS, FIELD_MIMIC,
    FIELD_OTHER, FIELD_PROXY, FIELD_PROXY_AUTHENTICATE, FIELD_PROXY_AUTHORIZATION, FIELD_PROXY_CONNECTION, FIELD_SERVER,
    FIELD_TE, FIELD_TRAILER, FIELD_TRANSFER_ENCODING, FIELD_UPGRADE, FIELD_X_FORWARDED_CLIENT_CERT,
    FIELD_X_FORWARDED_FOR, FIELD_X_FORWARDED_HOST, FIELD_X_FORWARDED_PROTO, FIELD_X_REQUEST_ID, FRAMING_CHUNKED,
    FRAMING_LENGTH, FRAMING_NONE, Field, Head, HeadLimits,
)
from fastroute.ext.http1.octet cimport OCTET_TOKEN, is_space, is_text, lower, run_over, run_over_field
from fastroute.ext.http1.protocol cimport may_switch
from fastroute.ext.http1.refusal cimport (
    REFUSAL_ARENA_FULL, REFUSAL_BARE_CR, REFUSAL_BARE_LF, REFUSAL_CODING_IN_HTTP10, REFUSAL_CODING_UNSUPPORTED,
    REFUSAL_CONNECTION_TOO_LONG, REFUSAL_CONTROL_BYTE, REFUSAL_FIELD_FOLDED, REFUSAL_FIELD_NAME_INVALID,
    REFUSAL_FIELD_SPACE_BEFORE_COLON, REFUSAL_FIELD_WITHOUT_COLON, REFUSAL_FIELDS_TOO_MANY, REFUSAL_FRAMING_AMBIGUOUS,
    REFUSAL_LENGTH_INVALID, REFUSAL_LENGTH_REPEATED, REFUSAL_MAX_FORWARDS_INVALID, REFUSAL_NUL,
)
from fastroute.ext.memory.slice cimport Arena, Slice, arena_take

NAMES = {
    FIELD_HOST: b"host",
    FIELD_CONTENT_LENGTH: b"content-length",
    FIELD_TRANSFER_ENCODING: b"transfer-encoding",
    FIELD_CONNECTION: b"connection",
    FIELD_KEEP_ALIVE: b"keep-alive",
    FIELD_PROXY_CONNECTION: b"proxy-connection",
    FIELD_TE: b"te",
    FIELD_TRAILER: b"trailer",
    FIELD_UPGRADE: b"upgrade",
    FIELD_EXPECT: b"expect",
    FIELD_PROXY_AUTHENTICATE: b"proxy-authenticate",
    FIELD_PROXY_AUTHORIZATION: b"proxy-authorization",
    FIELD_X_FORWARDED_FOR: b"x-forwarded-for",
    FIELD_X_FORWARDED_PROTO: b"x-forwarded-proto",
    FIELD_X_FORWARDED_HOST: b"x-forwarded-host",
    FIELD_X_REQUEST_ID: b"x-request-id",
    FIELD_X_FORWARDED_CLIENT_CERT: b"x-forwarded-client-cert",
    FIELD_PROXY: b"proxy",
    FIELD_MAX_FORWARDS: b"max-forwards",
    FIELD_DATE: b"date",
    FIELD_SERVER: b"server",
    FIELD_LOCATION: b"location",
    FIELD_LOOP: b"fastroute-loop",
}

# Fields in which a proxy says where a request came from: FIELD_CLAIM, as are all names that begin with a prefix.
CLAIMS = (
    # the client's address, or anything
    b"forwarded", b"forwarded-for", b"x-forwarded", b"x-real-ip", b"x-client-ip", b"client-ip", b"true-client-ip",
    b"x-cluster-client-ip", b"x-originating-ip", b"x-remote-ip", b"x-remote-addr", b"x-proxyuser-ip",
    b"cf-connecting-ip", b"cf-connecting-ipv6", b"fastly-client-ip", b"fly-client-ip", b"x-azure-clientip",
    b"x-azure-socketip", b"x-envoy-external-address", b"x-original-forwarded-for", b"x-original-remote-addr",
    # the scheme
    b"front-end-https", b"x-arr-ssl", b"x-scheme", b"x-url-scheme", b"x-original-proto",
    # host, path and method
    b"x-host", b"x-http-host-override", b"x-original-host", b"x-original-method", b"x-original-uri", b"x-original-url",
    b"x-rewrite-url",
    # the client's certificate
    b"client-cert", b"client-cert-chain", b"ssl-client-cert", b"ssl-client-verify", b"x-arr-clientcert",
    b"x-client-cert",
)
CLAIM_PREFIXES = (b"x-forwarded-", b"x-ssl-client-")

# Host and the framing fields are written from members of the Head. The others are hop-by-hop, or must not be accepted
# from any peer.
DROPPED = (
    FIELD_HOST, FIELD_CONTENT_LENGTH, FIELD_TRANSFER_ENCODING, FIELD_CONNECTION, FIELD_KEEP_ALIVE,
    FIELD_PROXY_CONNECTION, FIELD_TE, FIELD_UPGRADE, FIELD_PROXY_AUTHENTICATE, FIELD_PROXY_AUTHORIZATION,
    FIELD_X_FORWARDED_CLIENT_CERT, FIELD_PROXY, FIELD_MIMIC,
)

cdef enum:
    NAME_MOST = 24              # bytes of the longest known name
    NAMES_MOST = 96             # known names, including the empty one
    PREFIXES = 2
    PLACES = 512                # of the perfect hash: the upper 9 of 32 bits
    LENGTH_DIGITS_MOST = 18     # 10**18 - 1 bytes: more than any message has, and it fits into 64 bits

cdef struct Name:
    Slice text                  # in lower case
    uint8_t known               # FieldName

cdef Name names[NAMES_MOST]     # the first one is empty: no name
cdef Slice prefixes[PREFIXES]   # of names that are FIELD_CLAIM
cdef uint8_t dropped[FIELD_COUNT]
cdef uint8_t places[PLACES]     # index into `names` by hash
cdef uint32_t factor            # makes the hash perfect


# ------------------------------------------------------------------------------------------------------------ names

cdef inline uint32_t place_of(const char *name, uint32_t size) noexcept nogil:
    """A hash of the size and the first, the middle and the last octet, with letters in lower case and '_' in the middle
    as '-'. `size` > 0."""
    cdef uint32_t ends = <uint32_t> (name[0] | 0x20) << 8 | <uint32_t> (name[size - 1] | 0x20)
    cdef uint32_t middle = c'-' if name[size >> 1] == c'_' else name[size >> 1] | 0x20
    return ((size << 24 | middle << 16 | ends) * factor) >> 23


cdef bint is_mimicked(const char *name, const char *known, uint32_t size) noexcept nogil:
    """Whether `name` equals `known`, except for '_' instead of '-'."""
    cdef uint32_t i
    for i in range(size):
        if lower(name[i]) != known[i] and not (name[i] == c'_' and known[i] == c'-'):
            return False
    return True


cdef uint8_t name_by_prefix(const char *name, uint32_t size) noexcept nogil:
    """Of a name that is not in `names`."""
    cdef uint32_t i
    if name[0] | 0x20 != c'x':          # as all prefixes begin
        return FIELD_OTHER
    for i in range(<uint32_t> PREFIXES):
        if size > prefixes[i].size and is_mimicked(name, prefixes[i].data, prefixes[i].size):
            return FIELD_CLAIM if memchr(name, c'_', size) == NULL else FIELD_MIMIC
    return FIELD_OTHER


cdef uint8_t field_name(const char *name, uint32_t size) noexcept nogil:
    cdef const Name *known
    if size == 0:
        return FIELD_OTHER
    if size > NAME_MOST:
        return name_by_prefix(name, size)
    known = &names[places[place_of(name, size)]]
    if is_text(name, size, known.text.data, known.text.size):
        return known.known
    if known.text.size == size and is_mimicked(name, known.text.data, size):
        return FIELD_MIMIC
    return name_by_prefix(name, size)


cdef bint fill_places() noexcept:
    """False: two names share a place."""
    cdef uint32_t i, place
    memset(places, 0, sizeof(places))
    for i in range(1, <uint32_t> NAMES_MOST):
        if names[i].text.size == 0:
            break
        place = place_of(names[i].text.data, names[i].text.size)
        if places[place]:
            return False
        places[place] = <uint8_t> i
    return True


def _lay_out():
    """Fills the tables, and searches for a factor for which no two names share a place."""
    global factor
    listed = [(name, known) for known, name in NAMES.items()] + [(name, FIELD_CLAIM) for name in CLAIMS]
    if len(listed) >= NAMES_MOST or max(len(name) for name, _ in listed) > NAME_MOST:
        raise AssertionError("NAMES_MOST or NAME_MOST is too small")
    for i, (name, known) in enumerate(listed, 1):
        names[i] = Name(Slice(<const char *> name, <uint32_t> len(name)), <uint8_t> known)
    for i, name in enumerate(CLAIM_PREFIXES):
        prefixes[i] = Slice(<const char *> name, <uint32_t> len(name))
    for known in DROPPED:
        dropped[known] = DROPPED_HERE
    for candidate in range(0x9e3779b1, 0x9e3779b1 + 20000, 2):
        factor = candidate
        if fill_places():
            return
    raise AssertionError("no factor makes the hash of field names perfect: more PLACES are needed")


_lay_out()


# ------------------------------------------------------------------------------------------------------------ lines

cdef int refuse_byte(const char *at, const char *end, int otherwise) noexcept nogil:
    """-Refusal, or 0 if more bytes are needed to decide; `otherwise` is the refusal for bytes that are allowed
    elsewhere."""
    if at == end:
        return 0
    if at[0] == c'\r':
        if end - at == 1:
            return 0
        return -otherwise if at[1] == c'\n' else -REFUSAL_BARE_CR
    if at[0] == c'\n':
        return -REFUSAL_BARE_LF
    if at[0] == 0:
        return -REFUSAL_NUL
    if at[0] == c'\t' or at[0] == c' ' or <uint8_t> at[0] >= 0x80:
        return -otherwise
    return -REFUSAL_CONTROL_BYTE if <uint8_t> at[0] < 0x20 or at[0] == 0x7f else -otherwise


cdef int take_name(Field *field, const char **at, const char *end, bint tolerant) noexcept nogil:
    """field-name and colon. Returns 1, 0 (more bytes) or -Refusal."""
    cdef const char *start = at[0]
    cdef const char *stop = run_over(start, end, OCTET_TOKEN)
    field.name = Slice(start, <uint32_t> (stop - start))
    if stop == end:
        return 0
    if is_space(stop[0]):
        if stop == start:
            return -REFUSAL_FIELD_FOLDED
        if not tolerant:
            return -REFUSAL_FIELD_SPACE_BEFORE_COLON
        while stop < end and is_space(stop[0]):
            stop += 1
        if stop == end:
            return 0
    if stop[0] != c':':
        return refuse_byte(stop, end, REFUSAL_FIELD_WITHOUT_COLON if stop[0] == c'\r' else REFUSAL_FIELD_NAME_INVALID)
    if field.name.size == 0:
        return -REFUSAL_FIELD_NAME_INVALID
    at[0] = stop + 1
    return 1


cdef int take_value(Field *field, const char **at, const char *end) noexcept nogil:
    """OWS field-value OWS CRLF. Returns 1, 0 (more bytes) or -Refusal."""
    cdef const char *start = at[0]
    cdef const char *stop
    while start < end and is_space(start[0]):
        start += 1
    stop = run_over_field(start, end)
    if end - stop < 2 or stop[0] != c'\r' or stop[1] != c'\n':
        return refuse_byte(stop, end, REFUSAL_CONTROL_BYTE)
    at[0] = stop + 2
    field.received = start == field.name.data + field.name.size + 2 and (start - 1)[0] == c' '
    while stop > start and is_space((stop - 1)[0]):
        stop -= 1
        field.received = 0
    field.value = Slice(start, <uint32_t> (stop - start))
    return 1


cdef void note(Noted *noted, const Field *field) noexcept nogil:
    """Notes the meaning of `field`, a known one, for the head."""
    if field.known == FIELD_HOST:
        noted.hosts += 1
        noted.host = field.value
    elif field.known == FIELD_CONTENT_LENGTH:
        noted.lengths += 1
        noted.length = field.value
    elif field.known == FIELD_TRANSFER_ENCODING:
        noted.codings += 1
        noted.coding = field.value
    elif field.known == FIELD_CONNECTION:
        noted.connections += 1
    elif field.known == FIELD_UPGRADE:
        noted.upgrades += 1
        noted.protocols = field.value
    elif field.known == FIELD_TE:
        noted.te_trailers |= lists(field.value, b"trailers", 8)
    elif field.known == FIELD_MAX_FORWARDS:
        noted.max_forwards += 1
        noted.forwards = field.value
    elif field.known == FIELD_LOOP:
        noted.loops += 1
    elif field.known == FIELD_EXPECT:
        noted.expects_continue |= is_text(field.value.data, field.value.size, b"100-continue", 12)


cdef int take_fields(Head *head, Noted *noted, const char **at, const char *end, bint tolerant,
                     const HeadLimits *limits, Arena *arena) noexcept nogil:
    cdef Field *field
    cdef int outcome
    head.fields_count = 0
    head.fields_room = limits.fields + FIELDS_SPARE
    head.fields = <Field *> arena_take(arena, head.fields_room * <uint32_t> sizeof(Field))
    if head.fields == NULL:
        return -REFUSAL_ARENA_FULL
    field = head.fields
    while at[0] < end:
        if at[0][0] == c'\r':
            if end - at[0] == 1 or at[0][1] != c'\n':
                return refuse_byte(at[0], end, REFUSAL_BARE_CR)
            at[0] += 2
            return 1
        if head.fields_count == limits.fields:
            return -REFUSAL_FIELDS_TOO_MANY
        outcome = take_name(field, at, end, tolerant)
        if outcome > 0:
            outcome = take_value(field, at, end)
        if outcome <= 0:
            return outcome
        field.known = field_name(field.name.data, field.name.size)
        field.dropped = dropped[field.known]
        if field.known:
            note(noted, field)
        head.fields_count += 1
        field += 1
    return 0


# ---------------------------------------------------------------------------------------------------------- meaning

cdef bint next_item(Slice *rest, Slice *item) noexcept nogil:
    cdef const char *at = rest.data
    cdef const char *end = at + rest.size
    cdef const char *start
    while at < end and (is_space(at[0]) or at[0] == c','):
        at += 1
    start = at
    while at < end and at[0] != c',':
        at += 1
    rest[0] = Slice(at, <uint32_t> (end - at))
    while at > start and is_space((at - 1)[0]):
        at -= 1
    item[0] = Slice(start, <uint32_t> (at - start))
    return at > start


cdef bint lists(Slice value, const char *text, uint32_t size) noexcept nogil:
    """Whether `text` (lower case) is an item of the comma-separated `value`, without regard to case."""
    cdef Slice item
    while next_item(&value, &item):
        if is_text(item.data, item.size, text, size):
            return True
    return False


cdef void nominate(Head *head, Slice name) noexcept nogil:
    """Marks the fields with this name: they are not forwarded (RFC 9110 section 7.6.1). The marks of loops remain."""
    cdef uint32_t i, j
    for i in range(head.fields_count):
        if head.fields[i].name.size != name.size or head.fields[i].known == FIELD_LOOP:
            continue
        for j in range(name.size):
            if lower(head.fields[i].name.data[j]) != lower(name.data[j]):
                break
        else:
            head.fields[i].dropped = DROPPED_HERE


cdef int obey_options(Head *head, Slice options, uint32_t *count, bint *close, bint *stay) noexcept nogil:
    """Evaluates one Connection field. Returns 0 or -Refusal."""
    cdef Slice option
    while next_item(&options, &option):
        count[0] += 1
        if count[0] > NOMINATED_MOST:
            return -REFUSAL_CONNECTION_TOO_LONG
        if is_text(option.data, option.size, b"close", 5):
            close[0] = True
        elif is_text(option.data, option.size, b"keep-alive", 10):
            stay[0] = True
        elif is_text(option.data, option.size, b"upgrade", 7):
            head.upgrade = 1
        else:
            nominate(head, option)
            head.nominates |= not is_text(option.data, option.size, b"te", 2)
    return 0


cdef int obey_connection(Head *head, const Noted *noted) noexcept nogil:
    """RFC 9112 section 9.3: `close` takes precedence; otherwise 1.1 persists, and 1.0 only with keep-alive."""
    cdef bint close = False
    cdef bint stay = False
    cdef uint32_t i
    cdef uint32_t count = 0
    cdef int refusal
    head.te_trailers = noted.te_trailers
    if noted.connections:
        for i in range(head.fields_count):
            if head.fields[i].known != FIELD_CONNECTION:
                continue
            refusal = obey_options(head, head.fields[i].value, &count, &close, &stay)
            if refusal:
                return refusal
    head.upgrade &= noted.upgrades == 1 and head.minor == 1 and may_switch(noted.protocols)
    if head.upgrade:
        head.protocols = noted.protocols
    head.keep_alive = not close and (head.minor == 1 or stay)
    return 0


cdef int count_bytes(Slice value, uint64_t *length) noexcept nogil:
    """Content-Length = 1*DIGIT. Returns 0 or -Refusal."""
    cdef uint32_t i
    if value.size == 0 or value.size > LENGTH_DIGITS_MOST:
        return -REFUSAL_LENGTH_INVALID
    length[0] = 0
    for i in range(value.size):
        if value.data[i] < c'0' or value.data[i] > c'9':
            return -REFUSAL_LENGTH_INVALID
        length[0] = length[0] * 10 + <uint64_t> (value.data[i] - c'0')
    return 0


cdef int take_max_forwards(Head *head, const Noted *noted) noexcept nogil:
    """RFC 9110 section 7.6.2: only OPTIONS and TRACE are limited. A value that is too large becomes UINT32_MAX."""
    cdef uint64_t count = 0
    cdef uint32_t i
    if noted.max_forwards > 1 or noted.forwards.size == 0:
        return -REFUSAL_MAX_FORWARDS_INVALID
    for i in range(noted.forwards.size):
        if noted.forwards.data[i] < c'0' or noted.forwards.data[i] > c'9':
            return -REFUSAL_MAX_FORWARDS_INVALID
        count = min(count * 10 + <uint64_t> (noted.forwards.data[i] - c'0'), <uint64_t> UINT32_MAX)
    head.has_max_forwards = 1
    head.max_forwards = <uint32_t> count
    return 0


cdef void drop_underscores(Head *head, const char *end) noexcept nogil:
    """Removes these fields from the array as well, so that no match sees a field that the backend does not get."""
    cdef uint32_t i
    cdef uint32_t kept = 0
    if head.fields_count == 0 or memchr(head.fields[0].name.data, c'_', end - head.fields[0].name.data) == NULL:
        return
    for i in range(head.fields_count):
        if memchr(head.fields[i].name.data, c'_', head.fields[i].name.size) == NULL:
            if kept != i:
                head.fields[kept] = head.fields[i]
            kept += 1
    head.fields_count = kept


cdef int state_framing(Head *head, const Noted *noted) noexcept nogil:
    """Refuses what RFC 9112 section 6.3 lets a receiver guess or repair: the backend might decide differently."""
    head.stated = FRAMING_NONE
    if noted.codings:
        if head.minor == 0:
            return -REFUSAL_CODING_IN_HTTP10
        if noted.lengths:
            return -REFUSAL_FRAMING_AMBIGUOUS
        if noted.codings > 1 or not is_text(noted.coding.data, noted.coding.size, b"chunked", 7):
            return -REFUSAL_CODING_UNSUPPORTED
        head.stated = FRAMING_CHUNKED
    elif noted.lengths:
        if noted.lengths > 1:
            return -REFUSAL_LENGTH_REPEATED
        head.stated = FRAMING_LENGTH
        return count_bytes(noted.length, &head.content_length)
    return 0
