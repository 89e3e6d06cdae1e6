# Numbers as decimal digits.

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.memory.slice cimport Slice


cdef enum:
    DECIMAL_MOST = 20           # digits of a uint64_t

cdef inline Slice decimal(char *digits, uint64_t number) noexcept nogil:
    """The number, in `digits`, which has DECIMAL_MOST bytes."""
    cdef uint32_t start = DECIMAL_MOST
    while True:
        start -= 1
        digits[start] = <char> (c'0' + number % 10)
        number //= 10
        if number == 0:
            return Slice(digits + start, DECIMAL_MOST - start)
