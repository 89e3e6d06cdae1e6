# Complete chunks that are taken as a whole, without the state machine of body.pyx.

from libc.stdint cimport uint32_t

from fastroute.ext.message.octet cimport hex_value


cdef enum:
    DIGITS = 5                  # of a size that is taken as a whole

cdef inline uint32_t short_chunk(const char *at, const char *end) noexcept nogil:
    """The bytes of content of a complete chunk whose size has one digit, without an extension; 0: it is not one."""
    cdef int size
    if end - at < 6 or at[1] != c'\r' or at[2] != c'\n':
        return 0
    size = hex_value(at[0])
    if size <= 0 or end - at < size + 5 or at[3 + size] != c'\r' or at[4 + size] != c'\n':
        return 0
    return <uint32_t> size


cdef inline uint32_t long_chunk(const char *at, const char *end, uint32_t *line, uint32_t *zeros) noexcept nogil:
    """The same for a size of at most DIGITS digits. Sets `line` to the bytes of the first line, `zeros` to those of them
    that are leading zeros."""
    cdef uint32_t digits = 0
    cdef uint32_t size = 0
    cdef int digit
    if end - at < DIGITS + 3:
        return 0
    zeros[0] = 0
    while zeros[0] < DIGITS and at[zeros[0]] == c'0':
        zeros[0] += 1
    for digits in range(zeros[0], DIGITS):
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
    return size
