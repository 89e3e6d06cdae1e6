"""Paths; see path.pxd.

The path that is matched is the path that is forwarded, so it is normalised before matching (RFC 3986 section 6.2.2):
escapes of unreserved characters are decoded, hex digits are changed to upper case, dot segments (also `%2e`) are
removed. `%2F`, `;`, `//` (without merge_slashes), case and the query are kept. Most paths are normal already: then one
scan is enough, and the Message points into the received bytes.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memchr

from fastroute.ext.memory.slice cimport Slice, arena_take
from fastroute.ext.message.octet cimport OCTET_PATH, OCTET_UNRESERVED, hex_value, octets, run_over
from fastroute.ext.message.refusal cimport (
    REFUSAL_ARENA_FULL, REFUSAL_PATH_ABOVE_ROOT, REFUSAL_PATH_ESCAPE, REFUSAL_TARGET_FRAGMENT, REFUSAL_TARGET_INVALID,
)

cdef const char *HEX = b"0123456789ABCDEF"


cdef int unescape(const char *at, const char *end, char *out) noexcept nogil:
    """Writes the escape at `at` in its normal form: 1 or 3 bytes. Returns their number, or -Refusal."""
    cdef int high, low, value
    if end - at < 3:
        return -REFUSAL_PATH_ESCAPE
    high = hex_value(at[1])
    low = hex_value(at[2])
    if high < 0 or low < 0 or high + low == 0:
        return -REFUSAL_PATH_ESCAPE
    value = high * 16 + low
    if octets[value] & OCTET_UNRESERVED:
        out[0] = <char> value
        return 1
    out[0] = c'%'
    out[1] = HEX[high]
    out[2] = HEX[low]
    return 3


cdef int copy_segment(const char **at, const char *end, char *out) noexcept nogil:
    """Copies up to the next '/' in normal form, and advances `at` to it. Returns the bytes written, or -Refusal."""
    cdef const char *from_ = at[0]
    cdef int size = 0
    cdef int wrote
    while from_ < end and from_[0] != c'/':
        if from_[0] != c'%':
            out[size] = from_[0]
            size += 1
            from_ += 1
            continue
        wrote = unescape(from_, end, out + size)
        if wrote < 0:
            return wrote
        size += wrote
        from_ += 3
    at[0] = from_
    return size


cdef int normalise(const char *path, uint32_t size, bint merge_slashes, char *out) noexcept nogil:
    # RFC 3986 section 5.2.4, one segment at a time. The result is never longer than `path`.
    cdef const char *at = path
    cdef const char *end = path + size
    cdef uint32_t used = 0
    cdef uint32_t start
    cdef int length
    while at < end:
        if not (merge_slashes and used > 0 and out[used - 1] == c'/'):
            out[used] = c'/'
            used += 1
        at += 1
        start = used
        length = copy_segment(&at, end, out + start)
        if length < 0:
            return length
        used += <uint32_t> length
        if length > 2 or length == 0 or out[start] != c'.' or (length == 2 and out[start + 1] != c'.'):
            continue
        used = start - 1
        if length == 2:
            if used == 0:
                return -REFUSAL_PATH_ABOVE_ROOT
            used -= 1
            while out[used] != c'/':
                used -= 1
        if at == end:
            out[used] = c'/'
            used += 1
    return <int> used


cdef int take_path(Message *message, const char *at, const char *end, const HeadLimits *limits,
                   Arena *arena) noexcept nogil:
    cdef const char *start = at
    cdef const char *slash
    cdef bint normal = True
    cdef char *out
    cdef int size
    while True:
        at = run_over(at, end, OCTET_PATH)
        if at == end or at[0] == c'?':
            break
        if at[0] == c'.':
            normal = normal and (at - 1)[0] != c'/'
        elif at[0] == c'%':
            normal = False
        else:
            return -REFUSAL_TARGET_FRAGMENT if at[0] == c'#' else -REFUSAL_TARGET_INVALID
        at += 1
    message.path = Slice(start, <uint32_t> (at - start))
    if at < end:
        message.has_query = 1
        message.query = Slice(at + 1, <uint32_t> (end - at - 1))
        if memchr(at, c'#', end - at) != NULL:
            return -REFUSAL_TARGET_FRAGMENT
    if normal and limits.merge_slashes:
        slash = start
        while normal and slash != NULL:
            slash = <const char *> memchr(slash + 1, c'/', at - slash - 1)
            normal = slash == NULL or (slash - 1)[0] != c'/'
    if normal:
        return 0
    out = <char *> arena_take(arena, message.path.size)
    if out == NULL:
        return -REFUSAL_ARENA_FULL
    size = normalise(start, message.path.size, limits.merge_slashes, out)
    if size < 0:
        return size
    message.path = Slice(out, <uint32_t> size)
    return 0
