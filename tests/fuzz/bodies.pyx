"""Each body is taken, passed on, decoded and opened, once whole and once in pieces: the results must be the same. What was
passed on must be a body with the same content, and must be passed on unchanged.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from fastroute.ext.http1.body cimport Body, body_decode, body_free, body_open, body_pass, body_start, body_take
from fastroute.ext.http1.head cimport FRAMING_CHUNKED
from fastroute.ext.http1.trailer cimport trailers_join, trailers_read
from fastroute.ext.memory.slice cimport Arena, Slice
from fastroute.ext.message.limits cimport HeadLimits
from fastroute.ext.message.message cimport Field, Message
from fastroute.ext.message.trailer cimport trailers_forbid

cdef enum Option:
    OPTION_NO_TRAILERS = 1
    OPTION_NO_UNDERSCORES = 2
    OPTION_NARROW = 4           # small limits

cdef enum Way:
    WAY_TAKE
    WAY_PASS
    WAY_DECODE
    WAY_OPEN
    WAYS

cdef enum:
    HEADER = 2                  # bytes before the body

cdef struct Outcome:
    long taken                  # or -Refusal
    bint complete
    char *out                   # what was passed on, or the content
    uint32_t size

cdef struct Reading:            # how bodies are read
    HeadLimits limits
    uint8_t options


cdef void add(Outcome *outcome, Slice piece) noexcept nogil:
    if piece.size:
        memcpy(outcome.out + outcome.size, piece.data, piece.size)
        outcome.size += piece.size


cdef long pass_piece(Body *body, char *data, uint32_t size, const Reading *reading, Outcome *outcome) noexcept nogil:
    cdef Slice passed, section
    cdef Message trailers
    cdef Arena arena
    cdef long taken = body_pass(body, data, size, &reading.limits, &passed, &section)
    if taken < 0:
        return taken
    add(outcome, passed)
    if section.size:
        arena.size = body.trailer_fields * <uint32_t> sizeof(Field)
        arena.used = 0
        arena.base = <char *> malloc(arena.size)
        trailers_read(&trailers, section, body.trailer_fields, &arena)
        trailers_forbid(&trailers, reading.options & OPTION_NO_TRAILERS != 0,
                        reading.options & OPTION_NO_UNDERSCORES != 0)
        trailers_join(&trailers, &section)
        free(arena.base)
        add(outcome, section)
    return taken


cdef long decode_piece(Body *body, const char *data, uint32_t size, const HeadLimits *limits,
                       Outcome *outcome) noexcept nogil:
    cdef const char *content
    cdef uint32_t content_size
    cdef uint32_t taken = 0
    cdef long step
    while taken < size and not body.complete:
        step = body_decode(body, data + taken, size - taken, limits, &content, &content_size)
        if step < 0:
            return step
        if content_size:
            memcpy(outcome.out + outcome.size, content, content_size)
            outcome.size += content_size
        taken += <uint32_t> step
    return taken


cdef long open_piece(Body *body, char *data, uint32_t size, const HeadLimits *limits, Outcome *outcome) noexcept nogil:
    cdef Slice opened, section
    cdef long taken = body_open(body, data, size, limits, &opened, &section)
    if taken >= 0:
        add(outcome, opened)
    return taken


cdef void read(Outcome *outcome, const Reading *reading, int way, Slice data, uint32_t step) noexcept nogil:
    """Reads `data` in pieces of `step` bytes. `outcome.out` has room for all of it."""
    cdef Body body
    cdef uint32_t size
    cdef long taken
    cdef char *copy
    body_start(&body, FRAMING_CHUNKED, 0)
    outcome.taken = outcome.size = 0
    while <uint32_t> outcome.taken < data.size and not body.complete:
        size = min(step, data.size - <uint32_t> outcome.taken)
        copy = <char *> malloc(size)
        memcpy(copy, data.data + outcome.taken, size)
        if way == WAY_TAKE:
            taken = body_take(&body, copy, size, &reading.limits)
        elif way == WAY_PASS:
            taken = pass_piece(&body, copy, size, reading, outcome)
        elif way == WAY_OPEN:
            taken = open_piece(&body, copy, size, &reading.limits, outcome)
        else:
            taken = decode_piece(&body, copy, size, &reading.limits, outcome)
        free(copy)
        if taken <= 0:
            outcome.taken = taken
            break
        outcome.taken += taken
    outcome.complete = body.complete
    body_free(&body)


cdef bint is_same(const Outcome *one, const Outcome *other) noexcept nogil:
    """Whether both accept the same bytes, or refuse for the same reason."""
    return one.taken == other.taken and (one.taken < 0 or one.complete == other.complete)


cdef bint has_same_bytes(const Outcome *one, const Outcome *other) noexcept nogil:
    return one.size == other.size and (one.size == 0 or memcmp(one.out, other.out, one.size) == 0)


cdef const char *check_passed(Outcome *passed, Outcome *content, Outcome *room, const Reading *reading) noexcept nogil:
    """`passed` is a complete body without the trailers that are dropped."""
    cdef Slice data = Slice(passed.out, passed.size)
    read(room, reading, WAY_DECODE, data, data.size)
    if room.taken != data.size or not room.complete or not has_same_bytes(room, content):
        return b"the body that was passed on has other content"
    read(room, reading, WAY_PASS, data, data.size)
    if room.taken != data.size or not has_same_bytes(room, passed):
        return b"a body that is passed on twice changes again"
    return NULL


cdef const char *check(Outcome *outcomes, const Reading *reading, Slice data, uint32_t step) noexcept nogil:
    cdef int way
    for way in range(<int> WAYS):
        read(&outcomes[2 * way], reading, way, data, data.size)
        read(&outcomes[2 * way + 1], reading, way, data, step)
        if not is_same(&outcomes[2 * way], &outcomes[2 * way + 1]):
            return b"the result depends on how the body was split"
        if not is_same(&outcomes[0], &outcomes[2 * way]):
            return b"the ways to read a body differ"
        if outcomes[0].taken >= 0 and not has_same_bytes(&outcomes[2 * way], &outcomes[2 * way + 1]):
            return b"the output depends on how the body was split"
    if outcomes[0].taken >= 0 and not has_same_bytes(&outcomes[2 * WAY_OPEN], &outcomes[2 * WAY_DECODE]):
        return b"an opened body has other content"
    if outcomes[0].taken > 0 and outcomes[0].complete:
        return check_passed(&outcomes[2 * WAY_PASS], &outcomes[2 * WAY_DECODE], &outcomes[0], reading)
    return NULL


cdef const char *fuzz_chunked(const uint8_t *data, size_t size) noexcept nogil:
    cdef Outcome outcomes[2 * WAYS]
    cdef Reading reading
    cdef Slice body
    cdef const char *broken
    cdef char *room
    cdef int i
    if size <= HEADER:
        return NULL
    reading.options = data[0]
    reading.limits = HeadLimits(65536, 0, 200, False, False)
    if reading.options & OPTION_NARROW:
        reading.limits = HeadLimits(64, 0, 3, False, False)
    body = Slice(<const char *> data + HEADER, <uint32_t> (size - HEADER))
    room = <char *> calloc(2 * WAYS, body.size)
    for i in range(2 * WAYS):
        outcomes[i].out = room + i * body.size
    broken = check(outcomes, &reading, body, data[1] + 1)
    free(room)
    return broken
