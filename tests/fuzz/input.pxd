# The bytes of an input as choices and texts. After its last byte it has only zeros.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.memory.slice cimport Slice


cdef struct Input:
    const uint8_t *at
    const uint8_t *end


cdef inline uint8_t choice(Input *input, uint8_t count) noexcept nogil:
    """A number below `count`."""
    cdef uint8_t value = 0
    if input.at < input.end:
        value = input.at[0]
        input.at += 1
    return value % count


cdef inline Slice text(Input *input, const Slice *usual, uint8_t count) noexcept nogil:
    """One of the `usual` texts, or, less often, bytes of the input."""
    cdef uint8_t value = choice(input, 255)
    cdef Slice found
    if value < 200:
        return usual[value % count]
    found.data = <const char *> input.at
    found.size = min(<uint32_t> (value - 200), <uint32_t> (input.end - input.at))
    input.at += found.size
    return found
