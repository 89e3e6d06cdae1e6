# X-Forwarded-For, -Proto, -Host, X-Request-ID and Max-Forwards sent to the backend, and which received values are kept.
#
# Peer outside the trusted blocks: its values of these fields are replaced, and the other fields that only a proxy may
# send (X-Real-IP, Forwarded, X-Original-URL, ...; the range of FieldName in message.pxd) are removed. Trusted peer: its
# address is appended to X-Forwarded-For; the other fields are kept, and added only if they are missing. The client (for
# the log) is the last untrusted address in the list X-Forwarded-For + peer. The search ends early at an item that is
# not an address, and at the first address if all are trusted.

from libc.stdint cimport uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcmp, memcpy, memset
from libc.time cimport clock, clock_t

from fastroute.ext.memory.address cimport AF_INET, AF_INET6, inet_ntop, inet_pton
from fastroute.ext.memory.entropy cimport UUID_TEXT, entropy_close, entropy_open, entropy_uuid
from fastroute.ext.memory.slice cimport arena_take
from fastroute.ext.message.fieldlist cimport append_field, join_slices
from fastroute.ext.message.items cimport next_item
from fastroute.ext.message.message cimport (
    DROPPED_HERE, FIELD_CLAIM, FIELD_MAX_FORWARDS, FIELD_X_FORWARDED_FOR, FIELD_X_FORWARDED_HOST,
    FIELD_X_FORWARDED_PROTO, FIELD_X_REQUEST_ID, RECEIVED_SECRET, SCHEME_HTTP, SCHEME_HTTPS, Field,
)
from fastroute.ext.message.octet cimport is_text
from fastroute.ext.message.scratch cimport Scratch, slice_bytes

cdef enum:
    ADDRESS_TEXT = 46           # maximum bytes of the text of an address, including the terminating zero
    REQUEST_ID_MOST = 128       # maximum bytes of a trusted X-Request-ID; a longer one is replaced

cdef struct Block:
    uint16_t family
    uint8_t bits                # length of the prefix
    uint8_t address[16]

cdef struct TrustedProxies:
    uint32_t count
    Block *blocks


# --- addresses


cdef uint16_t _unmap(uint16_t family, const uint8_t *address, uint8_t *out) noexcept nogil:
    """Copies an address, mapping IPv4-mapped ones to IPv4 (RFC 4291 section 2.5.5.2); returns its family."""
    if family == AF_INET6 and memcmp(address, b"\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0:
        memcpy(out, address + 12, 4)
        return AF_INET
    memcpy(out, address, 4 if family == AF_INET else 16)
    return family


cdef uint16_t _parse_address(const char *text, uint32_t size, uint8_t *address) noexcept nogil:
    """The family of "10.0.0.1", "::1", or with port "10.0.0.1:80", "[::1]:80"; 0 for any other text."""
    cdef char copy[ADDRESS_TEXT]
    cdef uint8_t raw[16]
    cdef const char *end
    if size and text[0] == c'[':
        end = <const char *> memchr(text, c']', size)
        if end == NULL or (end + 1 < text + size and end[1] != c':'):
            return 0
        text, size = text + 1, <uint32_t> (end - text - 1)
    else:
        end = <const char *> memchr(text, c':', size)
        if end != NULL and memchr(text, c'.', <size_t> (end - text)) != NULL:
            size = <uint32_t> (end - text)
    if size == 0 or size >= ADDRESS_TEXT or memchr(text, 0, size) != NULL:
        return 0
    memcpy(copy, text, size)
    copy[size] = 0
    if inet_pton(AF_INET, copy, raw) == 1:
        return _unmap(AF_INET, raw, address)
    if inet_pton(AF_INET6, copy, raw) == 1:
        return _unmap(AF_INET6, raw, address)
    return 0


cdef int _parse_block(str text, Block *block) except -1:
    """Parses "10.0.0.0/8" or "::1"; host bits may be set."""
    cdef uint8_t raw[16]
    cdef str length
    address, slash, length = text.partition("/")
    cdef bytes encoded = address.encode()
    cdef int family = AF_INET6 if ":" in address else AF_INET
    cdef int most = 128 if family == AF_INET6 else 32
    if inet_pton(family, encoded, raw) != 1:
        raise ValueError(f"{text!r} is no address or CIDR block")
    if slash and not (length.isascii() and length.isdecimal() and len(length) <= 3 and int(length) <= most):
        raise ValueError(f"{text!r}: the prefix length must be a number from 0 to {most}")
    block.bits = int(length) if slash else most
    block.family = family
    memcpy(block.address, raw, 16 if family == AF_INET6 else 4)
    if block.bits >= 96 and _unmap(family, raw, block.address) == AF_INET and family == AF_INET6:
        block.family = AF_INET
        block.bits -= 96
    return 0


cdef TrustedProxies *trusted_proxies_new(object blocks) except NULL:
    cdef list texts = [str(text) for text in blocks]
    cdef TrustedProxies *trusted = <TrustedProxies *> malloc(sizeof(TrustedProxies) + len(texts) * sizeof(Block))
    cdef uint32_t i
    if trusted == NULL:
        raise MemoryError
    trusted.count = <uint32_t> len(texts)
    trusted.blocks = <Block *> (trusted + 1)
    try:
        for i in range(trusted.count):
            _parse_block(texts[i], &trusted.blocks[i])
    except ValueError:
        free(trusted)
        raise
    return trusted


cdef void trusted_proxies_free(TrustedProxies *trusted) noexcept nogil:
    free(trusted)


cdef bint _in_block(const Block *block, const uint8_t *address) noexcept nogil:
    cdef uint32_t whole = block.bits >> 3
    cdef uint8_t mask = <uint8_t> (0xFF00 >> (block.bits & 7))
    if memcmp(block.address, address, whole) != 0:
        return False
    return mask == 0 or ((block.address[whole] ^ address[whole]) & mask) == 0


cdef bint is_trusted(const TrustedProxies *trusted, uint16_t family, const uint8_t *address) noexcept nogil:
    cdef uint8_t plain[16]
    cdef uint32_t i
    if trusted == NULL or trusted.count == 0 or (family != AF_INET and family != AF_INET6):
        return False
    family = _unmap(family, address, plain)
    for i in range(trusted.count):
        if trusted.blocks[i].family == family and _in_block(&trusted.blocks[i], plain):
            return True
    return False


cdef void peer_set(Peer *peer, const TrustedProxies *trusted, uint16_t family, const uint8_t *address,
                   uint16_t port) noexcept nogil:
    memset(peer, 0, sizeof(Peer))
    peer.port = port
    if family != AF_INET and family != AF_INET6:
        peer.text_size = 7
        memcpy(peer.text, b"unknown", 7)
        return
    peer.family = _unmap(family, address, peer.address)
    peer.trusted = is_trusted(trusted, peer.family, peer.address)
    inet_ntop(peer.family, peer.address, peer.text, sizeof(peer.text))
    while peer.text[peer.text_size]:
        peer.text_size += 1


# --- the client address


cdef Slice _last_word(const char *start, const char **end) noexcept nogil:
    """The last item of a comma-separated list, trimmed; moves `end` before its comma, or sets it to NULL at the first
    item."""
    cdef Slice word
    cdef const char *from_ = end[0]
    cdef const char *to = end[0]
    while from_ > start and (from_ - 1)[0] != c',':
        from_ -= 1
    end[0] = from_ - 1 if from_ > start else NULL
    while from_ < to and (from_[0] == c' ' or from_[0] == c'\t'):
        from_ += 1
    while to > from_ and ((to - 1)[0] == c' ' or (to - 1)[0] == c'\t'):
        to -= 1
    word.data = from_
    word.size = <uint32_t> (to - from_)
    return word


cdef bint _walk_line(const TrustedProxies *trusted, const Slice *line, Slice *client) noexcept nogil:
    """Reads one X-Forwarded-For line from its end; sets `client` to the last address read. True: continue with the
    previous line."""
    cdef const char *end = line.data + line.size
    cdef uint8_t address[16]
    cdef uint16_t family
    cdef Slice word
    while end != NULL:
        word = _last_word(line.data, &end)
        if word.size == 0:
            continue            # empty list elements are ignored (RFC 9110 section 5.6.1)
        family = _parse_address(word.data, word.size, address)
        if family == 0:
            return False
        client[0] = word
        if not is_trusted(trusted, family, address):
            return False
    return True


cdef void _strip_port(Slice *client) noexcept nogil:
    """Removes port and brackets from "10.0.0.1:80" and "[::1]:80"."""
    cdef const char *end
    if client.size and client.data[0] == c'[':
        end = <const char *> memchr(client.data, c']', client.size)
        client.data += 1
        client.size = <uint32_t> (end - client.data)
        return
    end = <const char *> memchr(client.data, c':', client.size)
    if end != NULL and memchr(client.data, c'.', <size_t> (end - client.data)) != NULL:
        client.size = <uint32_t> (end - client.data)


cdef void _find_client(const TrustedProxies *trusted, const Peer *peer, const Message *message,
                       Slice *client) noexcept nogil:
    cdef uint32_t i = message.fields_count
    cdef const Field *field
    client.data = <const char *> peer.text
    client.size = peer.text_size
    if not peer.trusted:
        return
    while i > 0:
        i -= 1
        field = &message.fields[i]
        if field.known == FIELD_X_FORWARDED_FOR and not field.dropped and not _walk_line(trusted, &field.value, client):
            break
    if client.data != peer.text:
        _strip_port(client)


# --- the fields


cdef void _keep_trusted(Forwarded *said, Message *message, bint trusted) noexcept nogil:
    """Finds the forwarding fields that are kept, and drops the others."""
    cdef Field *field
    cdef uint32_t i
    for i in range(message.fields_count):
        field = &message.fields[i]
        if field.known < FIELD_X_FORWARDED_FOR or field.known > FIELD_CLAIM or field.dropped:
            continue
        if not trusted or (field.known == FIELD_X_REQUEST_ID and not 0 < field.value.size <= REQUEST_ID_MOST):
            field.dropped = DROPPED_HERE
        elif field.known > FIELD_X_REQUEST_ID:
            continue
        elif field.known == FIELD_X_FORWARDED_FOR:
            said.last_for = field
        elif field.known == FIELD_X_FORWARDED_PROTO:
            said.proto = field
        elif field.known == FIELD_X_FORWARDED_HOST:
            said.host = field
        elif said.id == NULL:
            said.id = field
        else:
            field.dropped = DROPPED_HERE        # only one id per request


cdef void forward_begin(Forwarded *said, const TrustedProxies *trusted, const Peer *peer,
                        Message *message) noexcept nogil:
    memset(said, 0, sizeof(Forwarded))
    _find_client(trusted, peer, message, &said.client)
    _keep_trusted(said, message, peer.trusted)


cdef int _append(Message *message, Arena *arena, const char *name, uint32_t name_size, Slice value) noexcept nogil:
    cdef Slice name_slice
    name_slice.data = name
    name_slice.size = name_size
    return 0 if append_field(message, arena, name_slice, value) != NULL else -1


cdef int _extend_for(Field *last, const Slice *address, Arena *arena) noexcept nogil:
    cdef Slice parts[3]
    parts[0], parts[2] = last.value, address[0]
    parts[1].data = b", "
    parts[1].size = 2 if last.value.size else 0
    last.received &= RECEIVED_SECRET
    return join_slices(&last.value, arena, parts, 3)


cdef uint8_t _client_scheme(const Field *proto, uint8_t scheme) noexcept nogil:
    """The scheme that the client used, according to a trusted X-Forwarded-Proto (the first item of a list)."""
    cdef Slice rest, item
    if proto == NULL:
        return scheme
    rest = proto.value
    if next_item(&rest, &item):
        if is_text(item.data, item.size, b"https", 5):
            return SCHEME_HTTPS
        if is_text(item.data, item.size, b"http", 4):
            return SCHEME_HTTP
    return scheme


cdef int _forward_id(Forwarded *said, Entropy *entropy, Message *message, Arena *arena) noexcept nogil:
    cdef char *text
    if said.id != NULL:         # still in the arena, even if appending moved the fields
        said.request_id = said.id.value
        return 0
    text = <char *> arena_take(arena, UUID_TEXT)
    if text == NULL or not entropy_uuid(entropy, text):
        return -1
    said.request_id.data = text
    said.request_id.size = UUID_TEXT
    return _append(message, arena, b"X-Request-ID", 12, said.request_id)


cdef int forward(Forwarded *said, const Peer *peer, Entropy *entropy, Message *message, Arena *arena) noexcept nogil:
    cdef uint8_t client_scheme = _client_scheme(said.proto, message.scheme)
    cdef bint secure = message.scheme == SCHEME_HTTPS
    cdef Slice address, proto
    address.data = <const char *> peer.text
    address.size = peer.text_size
    if said.last_for != NULL:
        if _extend_for(said.last_for, &address, arena) < 0:
            return -1
    elif _append(message, arena, b"X-Forwarded-For", 15, address) < 0:
        return -1
    if _forward_id(said, entropy, message, arena) < 0:
        return -1
    if said.proto == NULL:
        proto.data = b"https" if secure else b"http"
        proto.size = 5 if secure else 4
        if _append(message, arena, b"X-Forwarded-Proto", 17, proto) < 0:
            return -1
    message.scheme = client_scheme
    if said.host == NULL and message.authority.size:
        return _append(message, arena, b"X-Forwarded-Host", 16, message.authority)
    return 0


cdef int count_forward(Message *message, Arena *arena) noexcept nogil:
    cdef char digits[10]
    cdef uint32_t number = message.max_forwards - 1
    cdef uint32_t start = 10
    cdef uint32_t i
    cdef char *text
    while start == 10 or number:
        start -= 1
        digits[start] = <char> (c'0' + number % 10)
        number //= 10
    text = <char *> arena_take(arena, 10 - start)
    if text == NULL:
        return -1
    memcpy(text, digits + start, 10 - start)
    for i in range(message.fields_count):
        if message.fields[i].known == FIELD_MAX_FORWARDS:
            message.fields[i].value.data = text
            message.fields[i].value.size = 10 - start
            message.fields[i].received = 0
    return 0


# --- for Python


cdef class Forwarding:
    """The forwarding fields as a gateway with these trusted proxies writes them.

    Raises ValueError if one of `trusted_proxies` is not an address or CIDR block.
    """

    cdef TrustedProxies *_trusted
    cdef Entropy *_entropy

    def __cinit__(self, trusted_proxies=()):
        self._trusted = trusted_proxies_new(trusted_proxies)
        self._entropy = entropy_open()

    def __dealloc__(self):
        entropy_close(self._entropy)
        trusted_proxies_free(self._trusted)

    cdef int _peer(self, str address, Peer *peer) except -1:
        cdef uint8_t raw[16]
        cdef bytes encoded = address.encode()
        cdef uint16_t family = AF_INET6 if ":" in address else AF_INET
        if inet_pton(family, encoded, raw) != 1:
            raise ValueError(f"{address!r} is no address")
        peer_set(peer, self._trusted, family, raw, 1)
        return 0

    def trusts(self, str address not None) -> bool:
        """Whether a peer with this address is trusted."""
        cdef Peer peer
        self._peer(address, &peer)
        return peer.trusted

    def apply(self, str peer not None, fields, *, str host="", bint tls=False, uint32_t arena=65536):
        """(fields, client, request id) of a request from `peer`. MemoryError: the arena is full."""
        cdef Scratch scratch = Scratch(arena)
        cdef Forwarded said
        cdef Peer who
        self._peer(peer, &who)
        scratch.request("GET", "/", None, host, fields)
        scratch.message.scheme = SCHEME_HTTPS if tls else SCHEME_HTTP
        forward_begin(&said, self._trusted, &who, &scratch.message)
        if forward(&said, &who, self._entropy, &scratch.message, &scratch.arena) < 0:
            raise MemoryError
        client, request_id = slice_bytes(&said.client), slice_bytes(&said.request_id)
        return scratch.fields(), client.decode("latin-1"), request_id.decode("latin-1")

    def seconds(self, str peer, fields, uint32_t rounds) -> float:
        """Processor time in seconds for `rounds` heads with these fields from `peer`."""
        cdef Scratch scratch = Scratch(65536)
        cdef Forwarded said
        cdef clock_t began
        cdef Message message
        cdef uint32_t used, size, _round
        cdef Field received[16]
        cdef Peer who
        self._peer(peer, &who)
        scratch.request("GET", "/", None, "example.com", fields[:16])
        message, used = scratch.message, scratch.arena.used
        size = message.fields_count * <uint32_t> sizeof(Field)
        memcpy(received, message.fields, size)
        began = clock()
        for _round in range(rounds):
            scratch.message, scratch.arena.used = message, used
            memcpy(message.fields, received, size)
            forward_begin(&said, self._trusted, &who, &scratch.message)
            forward(&said, &who, self._entropy, &scratch.message, &scratch.arena)
        return (clock() - began) / 1e6
