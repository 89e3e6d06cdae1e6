# A line that is being written to memory of fixed size: text, numbers and strings of JSON.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, strlen

from fastroute.ext.memory.slice cimport Slice


cdef struct Line:               # `at` is its end so far; `failed`: it did not fit
    char *at
    char *end
    uint32_t cut                # maximum bytes of a value
    bint failed


cdef inline void put(Line *line, const char *data, uint32_t size) noexcept nogil:
    if line.end - line.at < size:
        line.failed = True
        return
    memcpy(line.at, data, size)
    line.at += size


cdef inline void put_text(Line *line, const char *text) noexcept nogil:
    put(line, text, <uint32_t> strlen(text))


cdef void put_number(Line *line, uint64_t number) noexcept nogil
# The number, or null.
cdef void put_optional(Line *line, uint64_t number, bint present) noexcept nogil
# Escapes a byte that a JSON string cannot contain: a quote, a backslash, a control character.
cdef void put_escaped(Line *line, uint8_t byte) noexcept nogil
# `value` as a JSON string, or null; only the first `line.cut` bytes of a longer one.
cdef void put_string(Line *line, const Slice *value) noexcept nogil
