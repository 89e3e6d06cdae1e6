"""gRPC-Web; see grpcweb.pxd.

The four-octet groups of base64 may end with padding anywhere: clients encode parts of the body separately. Bits that the
last octet of a part does not need are ignored. Answers are encoded the same way, each piece separately.
"""

from libc.string cimport memcpy

from fastroute.ext.memory.buffer cimport buffer_reserve
from fastroute.ext.memory.slice cimport arena_take
from fastroute.ext.message.fieldlist cimport is_copied
from fastroute.ext.message.grpc cimport CALL_GRPC, CALL_NONE, WEB_BINARY, WEB_TEXT, call_kind, is_web
from fastroute.ext.message.message cimport BODY_LENGTH, BODY_UNKNOWN, Field
from fastroute.ext.message.octet cimport is_text, lower

cdef extern from "<openssl/evp.h>" nogil:
    int EVP_EncodeBlock(unsigned char *out, const unsigned char *data, int size)    # base64, and a zero behind it

cdef enum:
    FRAME_HEAD = 5              # octets before the content of a frame: flags, and a size of four octets
    TRAILERS_FLAG = 0x80
    LINE_MORE = 4               # octets of a trailer besides name and value
    INVALID = 64                # of what is no digit of base64

cdef uint8_t digits[256]


def _lay_out():
    cdef const char *letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    cdef int i
    for i in range(256):
        digits[i] = INVALID
    for i in range(64):
        digits[<uint8_t> letters[i]] = <uint8_t> i


_lay_out()


# --- heads


cdef Field *find(Message *message, const char *name, uint32_t size) noexcept nogil:
    """The first field of this name (in lower case) that goes on; NULL: there is none."""
    cdef Field *field = message.fields
    cdef Field *end = message.fields + message.fields_count
    while field < end:
        if not field.dropped and is_text(field.name.data, field.name.size, name, size):
            return field
        field += 1
    return NULL


cdef uint8_t web_answers(const Message *request, uint8_t asks) noexcept nogil:
    cdef const Field *accept = find(<Message *> request, b"accept", 6)
    cdef uint8_t kind = CALL_NONE if accept is NULL else call_kind(accept.value)
    return kind if is_web(kind) else asks


cdef int replace_type(Message *message, uint8_t before, uint8_t now, Arena *arena) noexcept nogil:
    """Replaces the Content-Type of the CallKind `before`, but not its format and parameters. A filter may have removed or
    replaced it: then it is kept. Returns 0, or -1 if the arena is full."""
    cdef Field *field = find(message, b"content-type", 12)
    cdef Slice written = web_type(now)
    cdef uint32_t rest
    cdef char *value
    if field is NULL or call_kind(field.value) != before:
        return 0
    rest = field.value.size - web_type(before).size
    value = <char *> arena_take(arena, written.size + rest)
    if value is NULL:
        return -1
    memcpy(value, written.data, written.size)
    if rest:
        memcpy(value + written.size, field.value.data + field.value.size - rest, rest)
    field.value = Slice(value, written.size + rest)
    field.received = False
    return 0


cdef void omit_length(Message *message) noexcept nogil:
    """The size of the body changes."""
    if message.declared == BODY_LENGTH and message.has_body:
        message.declared = BODY_UNKNOWN


cdef int web_take_request(Message *request, uint8_t asks, Arena *arena) noexcept nogil:
    request.te_trailers = True      # servers of gRPC insist on it
    if asks == WEB_TEXT:
        omit_length(request)
    return replace_type(request, asks, CALL_GRPC, arena)


cdef int web_take_answer(Message *answer, uint8_t kind, Arena *arena) noexcept nogil:
    omit_length(answer)
    return replace_type(answer, CALL_GRPC, kind, arena)


cdef Slice web_type(uint8_t kind) noexcept nogil:
    if kind == WEB_TEXT:
        return Slice(b"application/grpc-web-text", 25)
    return Slice(b"application/grpc-web", 20) if kind == WEB_BINARY else Slice(b"application/grpc", 16)


# --- bodies


cdef int64_t web_decode(WebText *text, char *data, uint32_t size) noexcept nogil:
    """A digit is read before an octet is written, so that nothing is overwritten that was not read yet."""
    cdef uint32_t i
    cdef int64_t used = 0
    cdef uint8_t digit
    for i in range(size):
        if data[i] == c'=' and text.digits >= 2:
            text.padding += 1
        else:
            digit = digits[<uint8_t> data[i]]
            if digit == INVALID or text.padding:
                return -1
            text.bits = <uint16_t> (text.bits << 6 | digit)
            if text.digits:
                data[used] = <char> (text.bits >> (6 - 2 * text.digits) & 0xFF)
                used += 1
        text.digits += 1
        if text.digits == 4:
            text[0] = WebText(0, 0, 0)
    return used


cdef void web_follow(WebFrames *frames, Slice data) noexcept nogil:
    cdef uint32_t at = 0
    cdef uint32_t part
    while at < data.size:
        if frames.head < FRAME_HEAD:
            if frames.head:             # the first octet contains flags
                frames.left = frames.left << 8 | <uint8_t> data.data[at]
            frames.head += 1
            at += 1
        else:
            part = min(frames.left, data.size - at)
            frames.left -= part
            at += part
        if frames.head == FRAME_HEAD and frames.left == 0:
            frames.head = 0


cdef uint32_t trailers_size(const Message *trailers) noexcept nogil:
    cdef uint32_t i
    cdef uint32_t size = 0
    for i in range(trailers.fields_count):
        if goes_on(&trailers.fields[i]):
            size += trailers.fields[i].name.size + trailers.fields[i].value.size + LINE_MORE
    return size


cdef inline bint goes_on(const Field *field) noexcept nogil:
    return not field.dropped and is_copied(field.known) and field.name.size != 0


cdef char *put(char *out, Slice text) noexcept nogil:
    if text.size:
        memcpy(out, text.data, text.size)
    return out + text.size


cdef char *write_trailers(char *out, const Message *trailers, uint32_t size) noexcept nogil:
    """Writes the frame of the trailers: names in lower case, as lines of HTTP/1. Returns its end."""
    cdef uint32_t i, k
    cdef Slice name
    out[0] = <char> TRAILERS_FLAG
    for i in range(4):
        out[1 + i] = <char> (size >> (24 - 8 * i) & 0xFF)
    out += FRAME_HEAD
    for i in range(trailers.fields_count):
        if not goes_on(&trailers.fields[i]):
            continue
        name = trailers.fields[i].name
        for k in range(name.size):
            out[k] = <char> lower(name.data[k])
        out = put(out + name.size, Slice(b": ", 2))
        out = put(put(out, trailers.fields[i].value), Slice(b"\r\n", 2))
    return out


cdef int web_write(Buffer *out, uint8_t kind, Slice data, const Message *trailers) noexcept nogil:
    cdef uint32_t fields = 0 if trailers is NULL else trailers_size(trailers)
    cdef uint32_t size = data.size + (0 if trailers is NULL else fields + <uint32_t> FRAME_HEAD)
    cdef uint32_t text = (size + 2) // 3 * 4 + 1 if kind == WEB_TEXT else 0
    cdef char *binary
    if buffer_reserve(out, text + size) < 0:
        return -1
    binary = put(out.data + out.end + text, data)
    if trailers is not NULL:
        write_trailers(binary, trailers, fields)
    if kind != WEB_TEXT:
        out.end += size
        return 0
    binary = out.data + out.end + text
    out.end += <uint32_t> EVP_EncodeBlock(<unsigned char *> out.data + out.end, <unsigned char *> binary, <int> size)
    return 0
