# Octets: the character classes of the 256 octets, and fast scans over octets of one class.
#
# One bit table, known at compile time, instead of range checks spread over the parsers. The scans process eight octets
# at a time with plain 64-bit arithmetic, never read at or beyond `end`, and stop at the first octet outside the class.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    enum {
        OCTET_TOKEN = 1,        /* tchar, RFC 9110 section 5.6.2 */
        OCTET_VISIBLE = 2,      /* VCHAR */
        OCTET_FIELD = 4,        /* allowed in a field value: HTAB, SP, VCHAR, obs-text (RFC 9110 section 5.5) */
        OCTET_PATH = 8,         /* allowed in a path, and needs no further check */
        OCTET_HOST = 16,        /* allowed in a host name: letters, digits, '-', '.', '_' */
        OCTET_HEX = 32,
        OCTET_UPPER = 64,
        OCTET_UNRESERVED = 128  /* RFC 3986 section 2.3 */
    };

    #define SEEN (OCTET_VISIBLE | OCTET_FIELD)
    #define MARK (SEEN | OCTET_TOKEN | OCTET_PATH)
    #define ALNUM (MARK | OCTET_HOST | OCTET_UNRESERVED)

    static const uint8_t octets[256] = {
        ['\\t'] = OCTET_FIELD, [' '] = OCTET_FIELD, [0x80 ... 0xff] = OCTET_FIELD,
        ['!'] = MARK, ['"'] = SEEN | OCTET_PATH, ['#'] = SEEN | OCTET_TOKEN, ['$'] = MARK,
        ['%'] = SEEN | OCTET_TOKEN, ['&' ... '\\''] = MARK, ['(' ... ')'] = SEEN | OCTET_PATH, ['*' ... '+'] = MARK,
        [','] = SEEN | OCTET_PATH, ['-'] = ALNUM, ['.'] = ALNUM & ~OCTET_PATH, ['/'] = SEEN | OCTET_PATH,
        ['0' ... '9'] = ALNUM | OCTET_HEX,
        [':' ... '>'] = SEEN | OCTET_PATH, ['?'] = SEEN, ['@'] = SEEN | OCTET_PATH,
        ['A' ... 'F'] = ALNUM | OCTET_UPPER | OCTET_HEX, ['G' ... 'Z'] = ALNUM | OCTET_UPPER,
        ['['] = SEEN | OCTET_PATH, ['\\\\'] = SEEN, [']'] = SEEN | OCTET_PATH, ['^'] = MARK, ['_'] = ALNUM,
        ['`'] = MARK,
        ['a' ... 'f'] = ALNUM | OCTET_HEX, ['g' ... 'z'] = ALNUM,
        ['{'] = SEEN | OCTET_PATH, ['|'] = MARK, ['}'] = SEEN | OCTET_PATH, ['~'] = MARK | OCTET_UNRESERVED,
    };

    #undef SEEN
    #undef MARK
    #undef ALNUM

    #define EVERY(octet) (UINT64_C(0x0101010101010101) * (octet))
    static inline uint64_t eight(const char *at) { uint64_t word; memcpy(&word, at, 8); return word; }
    static inline uint64_t four(const char *at) { uint32_t half; memcpy(&half, at, 4); return half; }

    #if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define FIRST(marks) ((uint32_t) __builtin_clzll(marks) >> 3)
    #else
    #define FIRST(marks) ((uint32_t) __builtin_ctzll(marks) >> 3)
    #endif
    """
    enum:
        OCTET_TOKEN
        OCTET_VISIBLE
        OCTET_FIELD
        OCTET_PATH
        OCTET_HOST
        OCTET_HEX
        OCTET_UPPER
        OCTET_UNRESERVED
    const uint8_t octets[256]
    uint64_t EVERY(uint8_t octet) noexcept nogil    # a word with this octet in each of its eight bytes
    uint64_t eight(const char *at) noexcept nogil   # eight octets as one word, in native byte order
    uint64_t four(const char *at) noexcept nogil    # four octets in the lower half of a word
    uint32_t FIRST(uint64_t marks) noexcept nogil   # the index of the first octet that has a bit; `marks` is not 0


cdef inline bint is_octet(char octet, uint8_t which) noexcept nogil:
    return (octets[<uint8_t> octet] & which) != 0


cdef inline char lower(char octet) noexcept nogil:
    return octet | <char> ((octets[<uint8_t> octet] & OCTET_UPPER) >> 1)


cdef inline uint64_t lower_word(uint64_t word) noexcept nogil:
    """Eight octets in lower case."""
    cdef uint64_t low = word & EVERY(0x7f)
    cdef uint64_t upper = (low + EVERY(0x80 - c'A')) & ~(low + EVERY(0x7f - c'Z')) & ~word & EVERY(0x80)
    return word | upper >> 2


cdef inline bint may_be_upper(uint64_t word) noexcept nogil:
    """Whether there may be an upper-case letter: an octet from 0x40 to 0x5f or from 0xc0 to 0xdf."""
    return word & ~(word << 1) & EVERY(0x40) != 0


cdef inline uint64_t few(const char *at, uint32_t size) noexcept nogil:
    """One to seven octets as one word, in which some of them are repeated: equal for equal octets of equal number."""
    cdef uint64_t half
    if size >= 4:
        return four(at) | four(at + size - 4) << 32
    half = <uint64_t> <uint8_t> at[0] | <uint64_t> <uint8_t> at[size >> 1] << 8 | <uint64_t> <uint8_t> at[size - 1] << 16 \
        | <uint64_t> <uint8_t> at[0] << 24
    return half | half << 32


cdef inline void put_lower(char *out, const char *data, uint32_t size) noexcept nogil:
    """Copies octets, in lower case."""
    cdef uint64_t word
    cdef uint32_t half, i
    if size < 4:
        for i in range(size):
            out[i] = lower(data[i])
    elif size < 8:
        word = few(data, size)
        if may_be_upper(word):
            word = lower_word(word)
        half = <uint32_t> word
        memcpy(out, &half, 4)
        half = <uint32_t> (word >> 32)
        memcpy(out + size - 4, &half, 4)
    else:
        for i in range(0, size - 7, 8):
            word = eight(data + i)
            if may_be_upper(word):
                word = lower_word(word)
            memcpy(out + i, &word, 8)
        word = lower_word(eight(data + size - 8))       # some octets a second time
        memcpy(out + size - 8, &word, 8)


cdef inline bint is_lower(const char *data, uint32_t size) noexcept nogil:
    """Whether certainly no octet is an upper-case letter (may_be_upper)."""
    cdef uint32_t i
    if size < 8:
        return size == 0 or not may_be_upper(few(data, size))
    for i in range(0, size - 8, 8):
        if may_be_upper(eight(data + i)):
            return False
    return not may_be_upper(eight(data + size - 8))


cdef inline bint is_text(const char *data, uint32_t size, const char *text, uint32_t text_size) noexcept nogil:
    """Whether `data` equals `text` (lower case), ignoring case."""
    cdef uint32_t i
    if size != text_size:
        return False
    if size < 8:
        return size == 0 or lower_word(few(data, size)) == few(text, size)
    for i in range(0, size - 8, 8):
        if lower_word(eight(data + i)) != eight(text + i):
            return False
    return lower_word(eight(data + size - 8)) == eight(text + size - 8)


cdef inline int hex_value(char digit) noexcept nogil:
    """0 to 15, or -1 if `digit` is not a hex digit."""
    if not is_octet(digit, OCTET_HEX):
        return -1
    return (digit & 15) + (9 if digit > c'9' else 0)


cdef inline const char *run_over(const char *at, const char *end, uint8_t which) noexcept nogil:
    """The first octet at or after `at` that is not of class `which`; `end` if there is none."""
    while at < end and octets[<uint8_t> at[0]] & which:
        at += 1
    return at


cdef inline uint64_t marks_of_name(uint64_t word) noexcept nogil:
    """Marks octets that are neither letters nor '-'."""
    cdef uint64_t low = (word | EVERY(0x20)) & EVERY(0x7f)
    cdef uint64_t letter = (low + EVERY(0x80 - c'a')) & ~(low + EVERY(0x7f - c'z'))
    cdef uint64_t dash = ~(((word ^ EVERY(c'-')) & EVERY(0x7f)) + EVERY(0x7f))
    return ~(letter | dash) & EVERY(0x80) | word & EVERY(0x80)


cdef inline const char *run_over_token(const char *at, const char *end) noexcept nogil:
    """Like run_over(OCTET_TOKEN). Skips letters and '-' a word at a time: most field names have nothing else."""
    cdef uint64_t others
    while end - at >= 8:
        others = marks_of_name(eight(at))
        if others == 0:
            at += 8
            continue
        at += FIRST(others)
        if not octets[<uint8_t> at[0]] & OCTET_TOKEN:
            return at
        at += 1
    return run_over(at, end, OCTET_TOKEN)


cdef inline bint is_token(const char *data, uint32_t size) noexcept nogil:
    """Whether these are one or more octets, all of class OCTET_TOKEN."""
    cdef uint32_t i
    cdef uint64_t marks
    if size >= 8:
        marks = marks_of_name(eight(data + size - 8))       # its octets can also be in the last word of the loop
        for i in range(0, size - 8, 8):
            marks |= marks_of_name(eight(data + i))
        if marks == 0:
            return True
    elif size and marks_of_name(few(data, size)) == 0:
        return True
    return size != 0 and run_over(data, data + size, OCTET_TOKEN) == data + size


cdef inline const char *run_over_visible(const char *at, const char *end) noexcept nogil:
    """Like run_over(OCTET_VISIBLE). Skips a word if none of its octets is below 0x21, DEL, or above 0x7f."""
    cdef uint64_t word
    while end - at >= 8:
        word = eight(at)
        if (((word - EVERY(0x21)) | (word + EVERY(1)) | word) & EVERY(0x80)) != 0:
            break
        at += 8
    return run_over(at, end, OCTET_VISIBLE)


cdef inline uint64_t marks_of_value(uint64_t word) noexcept nogil:
    """Marks octets below 0x20 and DEL. The subtraction may also mark octets after the first one that it must mark."""
    cdef uint64_t delete = word ^ EVERY(0x7f)
    return (((word - EVERY(0x20)) & ~word) | ((delete - EVERY(1)) & ~delete)) & EVERY(0x80)


cdef inline bint is_field_value(const char *data, uint32_t size) noexcept nogil:
    """Whether all octets are of class OCTET_FIELD."""
    cdef uint32_t i
    cdef uint64_t marks
    if size >= 8:
        marks = marks_of_value(eight(data + size - 8))      # its octets can also be in the last word of the loop
        for i in range(0, size - 8, 8):
            marks |= marks_of_value(eight(data + i))
        if marks == 0:
            return True
    elif size == 0 or marks_of_value(few(data, size)) == 0:
        return True
    return run_over(data, data + size, OCTET_FIELD) == data + size


cdef inline const char *run_over_field(const char *at, const char *end) noexcept nogil:
    """Like run_over(OCTET_FIELD). Skips a word if none of its octets is below 0x20 or DEL."""
    cdef uint64_t marks
    while True:
        while end - at >= 8:
            marks = marks_of_value(eight(at))
            if marks != 0:
                at += FIRST(marks)
                break
            at += 8
        while at < end and octets[<uint8_t> at[0]] & OCTET_FIELD:
            at += 1
            if (at - 1)[0] == c'\t':
                break
        else:
            return at


cdef inline bint is_space(char octet) noexcept nogil:
    """OWS (RFC 9110 section 5.6.3)."""
    return octet == c' ' or octet == c'\t'
