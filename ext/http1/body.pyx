"""Where a body ends, and which bytes of it are content (RFC 9112 sections 6 and 7): a state machine over bytes.

Content is neither parsed nor changed. Only the chunk framing is parsed, octet by octet, and strictly: a size consists
of hex digits only, an extension follows immediately and conforms to the grammar, every line ends in CRLF, content is
followed by CRLF, and trailers are checked as strictly as the fields of a head. Chunks are passed on unchanged, so they
must contain nothing that another parser could interpret differently.

A trailer section with trailers is not passed on: it is collected, and is a Message when it is complete (trailer.pxd).

Complete chunks without an extension are taken as a whole (`whole_chunks`): with the state machine, a read of 128 KiB with
chunks of one byte takes 1.5 ms. So the state machine stops at the beginning of each chunk. It also takes a run of octets
of an extension at once.

States are named after what is expected next. `line`, `surplus` and `trailers` limit what a peer may send without
sending content. The shortest form of a chunk is no surplus: a sender of small chunks may send any number of them.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memmove, memset

from fastroute.ext.http1.field cimport refuse_byte
from fastroute.ext.http1.head cimport FRAMING_CHUNKED, FRAMING_CLOSE, FRAMING_LENGTH, FRAMING_NONE
from fastroute.ext.memory.buffer cimport buffer_append, buffer_bytes, buffer_size
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.limits cimport HeadLimits
from fastroute.ext.message.octet cimport OCTET_TOKEN, hex_value, is_octet, run_over, run_over_field
from fastroute.ext.message.refusal cimport (
    REFUSAL_ARENA_FULL, REFUSAL_BARE_CR, REFUSAL_CHUNK_END_MISSING, REFUSAL_CHUNK_EXTENSION_INVALID,
    REFUSAL_CHUNK_LINE_TOO_LONG, REFUSAL_CHUNK_OVERHEAD, REFUSAL_CHUNK_SIZE_INVALID, REFUSAL_CHUNK_SIZE_TOO_LARGE,
    REFUSAL_CONTROL_BYTE, REFUSAL_FIELD_FOLDED, REFUSAL_FIELD_NAME_INVALID, REFUSAL_FIELD_SPACE_BEFORE_COLON,
    REFUSAL_FIELD_WITHOUT_COLON, REFUSAL_TRAILERS_TOO_LARGE,
)

cdef enum State:
    STATE_SIZE = 0              # first digit of a chunk size
    STATE_SIZE_MORE             # another digit, ';' or CR
    STATE_EXTENSION             # first octet of an extension name
    STATE_EXTENSION_NAME        # another, '=', ';' or CR
    STATE_EXTENSION_VALUE       # first octet of a token, or '"'
    STATE_EXTENSION_TOKEN       # another, ';' or CR
    STATE_QUOTED                # any octet of a quoted string
    STATE_QUOTED_PAIR           # the octet after a backslash
    STATE_QUOTED_END            # ';' or CR
    STATE_SIZE_LF
    STATE_DATA                  # `left` bytes of content
    STATE_DATA_CR
    STATE_DATA_LF
    STATE_TRAILER               # first octet of a trailer, or the CR of the last line
    STATE_TRAILER_NAME          # another octet of a name, or ':'
    STATE_TRAILER_VALUE
    STATE_TRAILER_LF
    STATE_LAST_LF

cdef enum:
    DIGITS = 5              # of a size that is taken as a whole
    CHUNK_SIZE_MOST_SHIFTED = 0x00ffffffffffffff    # a larger size takes no further digit: 2**60 - 1 at most


cdef void body_start(Body *body, int framing, uint64_t content_length) noexcept nogil:
    memset(body, 0, sizeof(Body))
    body.framing = <uint8_t> framing
    body.left = content_length if framing == FRAMING_LENGTH else 0
    body.complete = framing == FRAMING_NONE or (framing == FRAMING_LENGTH and content_length == 0)


cdef int refuse_line(char octet, int otherwise) noexcept nogil:
    """-Refusal for an octet that is not allowed here; `otherwise` if it is allowed elsewhere."""
    cdef char[2] pair = [octet, 0]
    return refuse_byte(pair, pair + 2, otherwise)


# -------------------------------------------------------------------------------------------------------- chunk lines

cdef int take_size(Body *body, char octet) noexcept nogil:
    """STATE_SIZE and STATE_SIZE_MORE."""
    cdef int digit = hex_value(octet)
    if digit >= 0:
        if body.left > CHUNK_SIZE_MOST_SHIFTED:
            return -REFUSAL_CHUNK_SIZE_TOO_LARGE
        body.left = body.left * 16 + <uint64_t> digit
        body.state = STATE_SIZE_MORE
        return 0
    if body.state == STATE_SIZE_MORE and (octet == c'\r' or octet == c';'):
        body.state = STATE_SIZE_LF if octet == c'\r' else STATE_EXTENSION
        return 0
    if octet == c'\r':
        return -REFUSAL_CHUNK_SIZE_INVALID
    return refuse_line(octet, REFUSAL_CHUNK_SIZE_INVALID)


cdef int take_extension(Body *body, char octet) noexcept nogil:
    """STATE_EXTENSION to STATE_QUOTED_END: chunk-ext of RFC 9112 section 7.1.1, without BWS."""
    cdef uint8_t state = body.state
    if state == STATE_QUOTED and octet in (c'"', c'\\'):
        body.state = STATE_QUOTED_END if octet == c'"' else STATE_QUOTED_PAIR
    elif state in (STATE_QUOTED, STATE_QUOTED_PAIR) and (octet == c'\t' or 0x20 <= <uint8_t> octet < 0x7f):
        body.state = STATE_QUOTED
    elif state == STATE_EXTENSION_VALUE and octet == c'"':
        body.state = STATE_QUOTED
    elif state <= STATE_EXTENSION_TOKEN and is_octet(octet, OCTET_TOKEN):
        body.state = STATE_EXTENSION_NAME if state <= STATE_EXTENSION_NAME else STATE_EXTENSION_TOKEN
    elif state == STATE_EXTENSION_NAME and octet == c'=':
        body.state = STATE_EXTENSION_VALUE
    elif state in (STATE_EXTENSION_NAME, STATE_EXTENSION_TOKEN, STATE_QUOTED_END) and octet in (c';', c'\r'):
        body.state = STATE_EXTENSION if octet == c';' else STATE_SIZE_LF
    elif octet == c'\r':
        return -REFUSAL_CHUNK_EXTENSION_INVALID
    else:
        return refuse_line(octet, REFUSAL_CHUNK_EXTENSION_INVALID)
    return 0


cdef int take_size_lf(Body *body, char octet) noexcept nogil:
    if octet != c'\n':
        return -REFUSAL_BARE_CR
    body.line = 0
    body.state = STATE_DATA if body.left else STATE_TRAILER
    return 0


cdef int take_data_end(Body *body, char octet) noexcept nogil:
    """STATE_DATA_CR and STATE_DATA_LF."""
    if octet != (c'\r' if body.state == STATE_DATA_CR else c'\n'):
        return -REFUSAL_CHUNK_END_MISSING
    body.state = STATE_DATA_LF if body.state == STATE_DATA_CR else STATE_SIZE
    return 0


# ----------------------------------------------------------------------------------------------------------- trailers

cdef int take_trailer_name(Body *body, char octet) noexcept nogil:
    """STATE_TRAILER and STATE_TRAILER_NAME."""
    if is_octet(octet, OCTET_TOKEN):
        body.state = STATE_TRAILER_NAME
        return 0
    if body.state == STATE_TRAILER:
        if octet == c'\r':
            body.state = STATE_LAST_LF
            return 0
        return refuse_line(octet, REFUSAL_FIELD_FOLDED if octet in (c' ', c'\t') else REFUSAL_FIELD_NAME_INVALID)
    if octet in (c' ', c'\t'):
        return -REFUSAL_FIELD_SPACE_BEFORE_COLON
    if octet == c'\r':
        return -REFUSAL_FIELD_WITHOUT_COLON
    if octet != c':':
        return refuse_line(octet, REFUSAL_FIELD_NAME_INVALID)
    body.state = STATE_TRAILER_VALUE
    return 0


cdef int take_trailer_end(Body *body, char octet, const HeadLimits *limits) noexcept nogil:
    """The CR after a value, STATE_TRAILER_LF and STATE_LAST_LF."""
    if body.state == STATE_TRAILER_VALUE:
        if octet != c'\r':
            return refuse_line(octet, REFUSAL_CONTROL_BYTE)
        body.state = STATE_TRAILER_LF
    elif octet != c'\n':
        return -REFUSAL_BARE_CR
    elif body.state == STATE_LAST_LF:
        body.complete = 1
    else:
        body.trailer_fields += 1
        if body.trailer_fields > limits.fields:
            return -REFUSAL_TRAILERS_TOO_LARGE
        body.state = STATE_TRAILER
    return 0


cdef uint32_t take_trailer_value(Body *body, const char *at, const char *end, const HeadLimits *limits) noexcept nogil:
    """Takes the available part of a trailer value, within the limit. Returns its bytes."""
    cdef uint32_t room = limits.head - body.trailers
    cdef uint32_t size
    if <size_t> (end - at) > room:
        end = at + room
    size = <uint32_t> (run_over_field(at, end) - at)
    body.trailers += size
    return size


cdef long take_trailers(Body *body, const char *data, uint32_t size, const HeadLimits *limits) noexcept nogil:
    """Takes the trailer section, or the available part of it. Returns the bytes taken, or -Refusal."""
    cdef const char *at = data
    cdef const char *end = data + size
    cdef int refusal
    while at < end and not body.complete:
        if body.state == STATE_TRAILER_VALUE:
            at += take_trailer_value(body, at, end, limits)
            if at == end:
                break
        body.trailers += 1
        if body.trailers > limits.head:
            return -REFUSAL_TRAILERS_TOO_LARGE
        if body.state <= STATE_TRAILER_NAME:
            refusal = take_trailer_name(body, at[0])
        else:
            refusal = take_trailer_end(body, at[0], limits)
        if refusal:
            return refusal
        at += 1
    return at - data


# --------------------------------------------------------------------------------------------------------- whole body

cdef inline bint is_surplus(const Body *body, char octet) noexcept nogil:
    """Whether the octet belongs to an extension, or the one before it is a leading zero."""
    if body.state < STATE_SIZE_MORE or body.state == STATE_SIZE_LF or octet == c'\r':
        return False
    return body.state > STATE_SIZE_MORE or octet == c';' or body.left == 0


cdef int take_octet(Body *body, char octet) noexcept nogil:
    """One octet of framing, in any state before the trailers except STATE_DATA. Returns 0 or -Refusal."""
    if body.state > STATE_SIZE_LF:
        return take_data_end(body, octet)
    if is_surplus(body, octet):
        body.line += 1
        body.surplus += 1
        if body.line > CHUNK_SURPLUS_MOST:
            return -REFUSAL_CHUNK_LINE_TOO_LONG
        if body.surplus > SURPLUS_FREE + body.decoded:
            return -REFUSAL_CHUNK_OVERHEAD
    if body.state <= STATE_SIZE_MORE:
        return take_size(body, octet)
    return take_extension(body, octet) if body.state < STATE_SIZE_LF else take_size_lf(body, octet)


cdef uint32_t take_content(Body *body, uint32_t size) noexcept nogil:
    """Takes up to `size` bytes of content; returns how many."""
    cdef uint32_t taken = size if body.framing == FRAMING_CLOSE or body.left > size else <uint32_t> body.left
    body.decoded += taken
    if body.framing == FRAMING_CLOSE:
        return taken
    body.left -= taken
    if body.left == 0:
        if body.framing == FRAMING_CHUNKED:
            body.state = STATE_DATA_CR
        else:
            body.complete = 1
    return taken


cdef uint32_t whole_chunk(Body *body, const char *at, const char *end, uint32_t *line) noexcept nogil:
    """Takes the chunk with which the octets begin, if it is complete, has no extension, and its size has at most DIGITS
    digits. Returns its bytes of content, and sets `line` to those of its first line; 0: the state machine must take it."""
    cdef uint32_t digits = 0
    cdef uint32_t zeros = 0
    cdef uint32_t size = 0
    cdef int digit
    if end - at < DIGITS + 3:
        return 0
    while zeros < DIGITS and at[zeros] == c'0':
        zeros += 1
    for digits in range(zeros, DIGITS):
        digit = hex_value(at[digits])
        if digit < 0:
            break
        size = size * 16 + <uint32_t> digit
    else:
        digits = DIGITS
    if size == 0 or at[digits] != c'\r' or at[digits + 1] != c'\n':
        return 0
    line[0] = digits + 2
    at += line[0]
    if <size_t> (end - at) < <size_t> size + 2 or at[size] != c'\r' or at[size + 1] != c'\n':
        return 0
    if zeros:
        if body.surplus + zeros > SURPLUS_FREE + body.decoded:
            return 0
        body.surplus += zeros
    body.decoded += size
    return size


cdef uint32_t whole_chunks(Body *body, const char *data, uint32_t size) noexcept nogil:
    """Takes the complete chunks with which `data` begins, if a chunk begins there. Returns their bytes."""
    cdef const char *at = data
    cdef const char *end = data + size
    cdef uint32_t content = 1
    cdef uint32_t line = 0
    if body.framing != FRAMING_CHUNKED or body.state != STATE_SIZE:
        return 0
    while content:
        content = whole_chunk(body, at, end, &line)
        if content:
            at += line + content + 2
    return <uint32_t> (at - data)


cdef uint32_t extension_run(Body *body, const char *at, const char *end) noexcept nogil:
    """Takes the octets of an extension that leave the state unchanged, within the limits. Returns their number."""
    cdef const char *begin = at
    cdef uint64_t room = min(<uint64_t> (CHUNK_SURPLUS_MOST - body.line), SURPLUS_FREE + body.decoded - body.surplus)
    if <uint64_t> (end - at) > room:
        end = at + room
    if body.state == STATE_QUOTED:
        while at < end and (at[0] == c'\t' or 0x20 <= <uint8_t> at[0] < 0x7f) and at[0] != c'"' and at[0] != c'\\':
            at += 1
    elif body.state == STATE_EXTENSION_NAME or body.state == STATE_EXTENSION_TOKEN:
        at = run_over(at, end, OCTET_TOKEN)
    body.line += <uint32_t> (at - begin)
    body.surplus += at - begin
    return <uint32_t> (at - begin)


cdef inline bint in_trailers(const Body *body) noexcept nogil:
    return body.framing == FRAMING_CHUNKED and body.state >= STATE_TRAILER


cdef long take_span(Body *body, const char *data, uint32_t size, const HeadLimits *limits, const char **content,
                    uint32_t *content_size) noexcept nogil:
    """Like body_decode, but does not read trailers."""
    cdef const char *at = data
    cdef const char *end = data + size
    cdef int refusal
    content_size[0] = 0
    while at < end and not body.complete:
        if body.framing != FRAMING_CHUNKED or body.state == STATE_DATA:
            content[0] = at
            content_size[0] = take_content(body, <uint32_t> (end - at))
            return at + content_size[0] - data
        if body.state >= STATE_TRAILER:
            break
        if STATE_EXTENSION < body.state < STATE_SIZE_LF:
            at += extension_run(body, at, end)
            if at == end:
                break
        refusal = take_octet(body, at[0])
        if refusal:
            return refusal
        at += 1
        if body.state == STATE_SIZE:
            break
    return at - data


cdef long body_decode(Body *body, const char *data, uint32_t size, const HeadLimits *limits,
                      const char **content, uint32_t *content_size) noexcept nogil:
    cdef uint32_t found
    cdef uint32_t line = 0
    content_size[0] = 0
    if in_trailers(body):
        return take_trailers(body, data, size, limits)
    if body.framing == FRAMING_CHUNKED and body.state == STATE_SIZE:
        found = whole_chunk(body, data, data + size, &line)
        if found:
            content[0] = data + line
            content_size[0] = found
            return line + found + 2
    return take_span(body, data, size, limits, content, content_size)


cdef long take_content_part(Body *body, const char *data, uint32_t size, const HeadLimits *limits) noexcept nogil:
    """Takes the bytes of `data` that belong to the body, up to a trailer section."""
    cdef const char *content
    cdef uint32_t content_size
    cdef uint32_t taken = 0
    cdef long step
    while taken < size and not body.complete and not in_trailers(body):
        taken += whole_chunks(body, data + taken, size - taken)
        step = take_span(body, data + taken, size - taken, limits, &content, &content_size)
        if step < 0:
            return step
        taken += <uint32_t> step
    return taken


cdef long body_take(Body *body, const char *data, uint32_t size, const HeadLimits *limits) noexcept nogil:
    cdef long taken = take_content_part(body, data, size, limits)
    cdef long step
    if taken < 0 or not in_trailers(body):
        return taken
    step = take_trailers(body, data + taken, size - <uint32_t> taken, limits)
    return step if step < 0 else taken + step


cdef inline bint has_trailers(const Body *body) noexcept nogil:
    """Whether the section that was begun is more than its last CRLF."""
    return body.trailer_fields != 0 or (STATE_TRAILER < body.state < STATE_LAST_LF)


cdef long pass_trailers(Body *body, char *data, uint32_t size, const HeadLimits *limits, Slice *last,
                        Slice *section) noexcept nogil:
    """Takes the trailer section in `data`. Without trailers, adds its last CRLF to `last`. Returns the bytes taken or
    -Refusal."""
    cdef long step = take_trailers(body, data, size, limits)
    if step < 0:
        return step
    if not has_trailers(body):
        last.size += <uint32_t> step
    elif not body.complete or buffer_size(&body.section):
        if buffer_append(&body.section, data, <uint32_t> step) < 0:
            return -REFUSAL_ARENA_FULL
        if body.complete:
            section[0] = Slice(buffer_bytes(&body.section), buffer_size(&body.section))
    else:
        section[0] = Slice(data, <uint32_t> step)
    return step


cdef long body_pass(Body *body, char *data, uint32_t size, const HeadLimits *limits, Slice *passed,
                    Slice *section) noexcept nogil:
    cdef bint over = body.complete
    cdef long taken = take_content_part(body, data, size, limits)
    cdef long step
    passed[0] = Slice(data, 0)
    section[0] = Slice(data, 0)
    if taken < 0:
        return taken
    passed.size = <uint32_t> taken
    if over or not in_trailers(body):
        return taken
    step = pass_trailers(body, data + taken, size - <uint32_t> taken, limits, passed, section)
    return step if step < 0 else taken + step


cdef long body_open(Body *body, char *data, uint32_t size, const HeadLimits *limits, Slice *opened,
                    Slice *section) noexcept nogil:
    cdef bint over = body.complete
    cdef Slice framing = Slice(NULL, 0)
    cdef const char *content
    cdef uint32_t content_size
    cdef uint32_t used = 0
    cdef uint32_t taken = 0
    cdef long step
    section[0] = Slice(data, 0)
    while taken < size and not body.complete and not in_trailers(body):
        step = body_decode(body, data + taken, size - taken, limits, &content, &content_size)
        if step < 0:
            return step
        if content_size:
            memmove(data + used, content, content_size)
        used += content_size
        taken += <uint32_t> step
    opened[0] = Slice(data, used)
    if over or not in_trailers(body):
        return taken
    step = pass_trailers(body, data + taken, size - taken, limits, &framing, section)
    return step if step < 0 else taken + step
