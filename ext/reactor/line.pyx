"""Text, numbers and strings of JSON in a line; see line.pxd.

Values may contain any bytes: invalid UTF-8 is replaced by U+FFFD, control characters are escaped.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fastroute.ext.memory.decimal cimport DECIMAL_MOST, decimal
from fastroute.ext.memory.slice cimport Slice


cdef void put_number(Line *line, uint64_t number) noexcept nogil:
    cdef char[DECIMAL_MOST] digits
    cdef Slice text = decimal(digits, number)
    put(line, text.data, text.size)


cdef uint32_t utf8_size(const uint8_t *data, uint32_t size) noexcept nogil:
    """Bytes of the well-formed UTF-8 sequence (Unicode table 3-7) that begins at `data`; 0 if there is none."""
    cdef uint8_t first = data[0], low = 0x80, high = 0xBF
    cdef uint32_t length, i
    if 0xC2 <= first <= 0xDF:
        length = 2
    elif 0xE0 <= first <= 0xEF:
        length = 3
        if first == 0xE0:
            low = 0xA0
        elif first == 0xED:
            high = 0x9F
    elif 0xF0 <= first <= 0xF4:
        length = 4
        if first == 0xF0:
            low = 0x90
        elif first == 0xF4:
            high = 0x8F
    else:
        return 0
    if size < length or not low <= data[1] <= high:
        return 0
    for i in range(2, length):
        if not 0x80 <= data[i] <= 0xBF:
            return 0
    return length


cdef void put_escaped(Line *line, uint8_t byte) noexcept nogil:
    cdef const char *digits = "0123456789abcdef"
    cdef char[6] escape
    if byte == 34 or byte == 92:
        escape[0] = 92
        escape[1] = <char> byte
        put(line, escape, 2)
        return
    memcpy(escape, b"\\u00", 4)
    escape[4] = digits[byte >> 4]
    escape[5] = digits[byte & 15]
    put(line, escape, 6)


cdef void put_string(Line *line, const Slice *value) noexcept nogil:
    cdef const uint8_t *data = <const uint8_t *> value.data
    cdef uint32_t size = value.size if value.size <= line.cut else line.cut
    cdef uint32_t i = 0, plain = 0, length
    if data == NULL:
        put(line, "null", 4)
        return
    put(line, '"', 1)
    while i < size:
        if 32 <= data[i] < 127 and data[i] != 34 and data[i] != 92:
            i += 1
            continue
        put(line, <const char *> data + plain, i - plain)
        if data[i] < 128:
            put_escaped(line, data[i])
            length = 1
        else:
            length = utf8_size(data + i, size - i)
            if length:
                put(line, <const char *> data + i, length)
            else:
                put(line, "\\ufffd", 6)
                length = 1
        i += length
        plain = i
    put(line, <const char *> data + plain, size - plain)
    if size < value.size:
        put(line, "...", 3)
    put(line, '"', 1)


cdef void put_optional(Line *line, uint64_t number, bint present) noexcept nogil:
    if present:
        put_number(line, number)
    else:
        put(line, "null", 4)
