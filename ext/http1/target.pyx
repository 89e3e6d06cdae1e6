"""The request target (RFC 9112 section 3.2) and the authority (RFC 3986 section 3.2), parsed strictly; normalisation.

Origin-form is supported, and absolute-form, which is reduced to origin-form. With OPTIONS, asterisk-form and an
absolute-form without a path refer to the gateway itself (RFC 9112 section 3.2.4). Authority-form is only for CONNECT,
and is refused.

The path that is matched is the path that is forwarded, so it is normalised before matching (RFC 3986 section 6.2.2):
escapes of unreserved characters are decoded, hex digits are changed to upper case, dot segments (also `%2e`) are
removed. `%2F`, `;`, `//` (without merge_slashes), case and the query are kept. Most paths are normal already: then one
scan is enough, and the Head points into the received bytes.

A host is a name of letters, digits, `-`, `_` and `.`, an IPv4 address, or an IPv6 address in brackets. RFC 3986 allows
more in a name, but such names are not used for hosts, and parsers interpret them differently.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memchr, memcpy

from fastroute.ext.http1.head cimport HOST_MOST, Head, HeadLimits
from fastroute.ext.http1.refusal cimport (
    REFUSAL_ARENA_FULL, REFUSAL_HOST_INVALID, REFUSAL_METHOD_CONNECT, REFUSAL_PATH_ABOVE_ROOT, REFUSAL_PATH_ESCAPE,
    REFUSAL_TARGET_ASTERISK, REFUSAL_TARGET_FRAGMENT, REFUSAL_TARGET_INVALID, REFUSAL_TARGET_SCHEME,
    REFUSAL_TARGET_USERINFO,
)
from fastroute.ext.memory.slice cimport Arena, Slice, arena_take
from fastroute.ext.message.message cimport METHOD_CONNECT, METHOD_OPTIONS
from fastroute.ext.message.octet cimport (
    OCTET_HOST, OCTET_PATH, OCTET_UNRESERVED, OCTET_UPPER, hex_value, is_text, lower, octets, run_over,
)

cdef extern from "<arpa/inet.h>" nogil:
    int AF_INET6
    int inet_pton(int family, const char *text, void *address)


cdef const char *HEX = b"0123456789ABCDEF"


# ------------------------------------------------------------------------------------------------------------ paths

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
    """RFC 3986 section 5.2.4, one segment at a time. The result is never longer than `path`."""
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


cdef int take_path(Head *head, const char *at, const char *end, const HeadLimits *limits, Arena *arena) noexcept nogil:
    """Splits path and query; normalises the path if that changes it. Returns 0 or -Refusal."""
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
    head.message.path = Slice(start, <uint32_t> (at - start))
    if at < end:
        head.message.has_query = 1
        head.message.query = Slice(at + 1, <uint32_t> (end - at - 1))
        if memchr(at, c'#', end - at) != NULL:
            return -REFUSAL_TARGET_FRAGMENT
    if normal and limits.merge_slashes:
        slash = start
        while normal and slash != NULL:
            slash = <const char *> memchr(slash + 1, c'/', at - slash - 1)
            normal = slash == NULL or (slash - 1)[0] != c'/'
    if normal:
        return 0
    out = <char *> arena_take(arena, head.message.path.size)
    if out == NULL:
        return -REFUSAL_ARENA_FULL
    size = normalise(start, head.message.path.size, limits.merge_slashes, out)
    if size < 0:
        return size
    head.message.path = Slice(out, <uint32_t> size)
    return 0


# ----------------------------------------------------------------------------------------------------------- target

cdef int take_absolute(Head *head, const char *at, const char *end, const HeadLimits *limits,
                       Arena *arena) noexcept nogil:
    """absolute-form: scheme "://" authority path-abempty [ "?" query ]. Returns 0 or -Refusal."""
    cdef const char *colon = <const char *> memchr(at, c':', end - at)
    cdef const char *authority
    cdef uint32_t size
    if colon == NULL or end - colon < 3 or colon[1] != c'/' or colon[2] != c'/':
        return -REFUSAL_TARGET_INVALID
    size = <uint32_t> (colon - at)
    if not (is_text(at, size, b"http", 4) or is_text(at, size, b"https", 5)):
        return -REFUSAL_TARGET_SCHEME
    authority = colon + 3
    at = authority
    while at < end and at[0] != c'/' and at[0] != c'?' and at[0] != c'#':
        if at[0] == c'@':
            return -REFUSAL_TARGET_USERINFO
        at += 1
    head.message.authority = Slice(authority, <uint32_t> (at - authority))
    if at < end and at[0] == c'/':
        return take_path(head, at, end, limits, arena)
    if at < end and at[0] == c'#':
        return -REFUSAL_TARGET_FRAGMENT
    head.message.path = Slice(b"/", 1)          # RFC 9112 section 3.2.1: an empty path is sent as "/"
    head.message.asterisk = at == end and head.message.method_name == METHOD_OPTIONS
    if at < end:
        head.message.has_query = 1
        head.message.query = Slice(at + 1, <uint32_t> (end - at - 1))
        if memchr(at, c'#', end - at) != NULL:
            return -REFUSAL_TARGET_FRAGMENT
    return 0


cdef int take_target(Head *head, const HeadLimits *limits, Arena *arena) noexcept nogil:
    """Fills in path, query and (absolute-form) authority from head.target. Returns 0 or -Refusal."""
    cdef const char *at = head.target.data
    cdef const char *end = at + head.target.size
    if head.message.method_name == METHOD_CONNECT:
        return -REFUSAL_METHOD_CONNECT
    if at[0] == c'/':
        return take_path(head, at, end, limits, arena)
    if head.target.size == 1 and at[0] == c'*':
        head.message.path = head.target
        head.message.asterisk = 1
        return 0 if head.message.method_name == METHOD_OPTIONS else -REFUSAL_TARGET_ASTERISK
    return take_absolute(head, at, end, limits, arena)


# -------------------------------------------------------------------------------------------------------- authority

cdef int take_port(const char *at, const char *end) noexcept nogil:
    """The number in `:port`, 0 if there is none, or -Refusal. The port may be empty (RFC 3986 section 3.2.3)."""
    cdef int port = 0
    if at == end:
        return 0
    if at[0] != c':' or end - at > 6:
        return -REFUSAL_HOST_INVALID
    at += 1
    while at < end:
        if at[0] < c'0' or at[0] > c'9':
            return -REFUSAL_HOST_INVALID
        port = port * 10 + (at[0] - c'0')
        at += 1
    return port if port < 65536 else -REFUSAL_HOST_INVALID


cdef const char *run_over_address(const char *at, const char *end) noexcept nogil:
    """The byte after the `]` of an IPv6 address in brackets; NULL if the address is invalid."""
    cdef char text[48]
    cdef uint8_t address[16]
    cdef const char *close = <const char *> memchr(at, c']', end - at)
    cdef Py_ssize_t size
    if close == NULL:
        return NULL
    size = close - at - 1
    if size < 2 or size >= <Py_ssize_t> sizeof(text):
        return NULL
    memcpy(text, at + 1, size)
    text[size] = 0
    return close + 1 if inet_pton(AF_INET6, text, address) == 1 else NULL


cdef const char *run_over_name(const char *at, const char *end) noexcept nogil:
    """The byte after a host name; NULL if it is empty, too long, or has an empty label before its last dot."""
    cdef const char *start = at
    cdef const char *dot = at - 1
    at = run_over(at, end, OCTET_HOST)
    end = at
    if at == start or at - start > HOST_MOST or start[0] == c'.':
        return NULL
    while True:
        at = <const char *> memchr(dot + 1, c'.', end - dot - 1)
        if at == NULL:
            return end
        if at == dot + 1:
            return NULL
        dot = at


cdef int split_authority(Slice authority, Slice *host) noexcept nogil:
    """`host` without port and final dot, in its original case. Returns the port (0: none) or -Refusal."""
    cdef const char *at = authority.data
    cdef const char *end = at + authority.size
    cdef const char *after
    cdef int port
    if authority.size == 0:
        return -REFUSAL_HOST_INVALID
    after = run_over_address(at, end) if at[0] == c'[' else run_over_name(at, end)
    if after == NULL:
        return -REFUSAL_HOST_INVALID
    port = take_port(after, end)
    if (after - 1)[0] == c'.':
        after -= 1
    host[0] = Slice(at, <uint32_t> (after - at))
    return port


cdef int take_host(Head *head, Arena *arena) noexcept nogil:
    """head.host from head.authority: lower case, no port, no final dot. Returns 0 or -Refusal."""
    cdef Slice host
    cdef char *out
    cdef uint32_t i
    cdef uint8_t seen = 0
    cdef int port = split_authority(head.message.authority, &host)
    if port < 0:
        return port
    head.message.host = host
    for i in range(host.size):
        seen |= octets[<uint8_t> host.data[i]]
    if not seen & OCTET_UPPER:
        return 0
    out = <char *> arena_take(arena, host.size)
    if out == NULL:
        return -REFUSAL_ARENA_FULL
    for i in range(host.size):
        out[i] = lower(host.data[i])
    head.message.host.data = out
    return 0


cdef int check_authority(Slice authority) noexcept nogil:
    """Returns 0, or -Refusal for an authority that is not allowed in Host."""
    cdef Slice host
    cdef int port = split_authority(authority, &host)
    return port if port < 0 else 0
