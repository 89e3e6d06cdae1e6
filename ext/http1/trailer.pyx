"""Trailers; see trailer.pxd.

Some fields must not be trailers (RFC 9110 section 6.5.1): a recipient that merges trailers into the head would apply
them too late, or instead of the field in the head. They are dropped.

FORBIDDEN and PREFIXES are the only table; a name that begins with a prefix is forbidden, whatever its length. Fields
whose definition allows trailers (ETag, Accept-Ranges, Authentication-Info) are relayed, and so are all fields that are
not listed. CGI and WSGI do not distinguish '_' from '-', so this module does not either. Fields that only a trusted
proxy may send (FIELD_CLAIM of field.pyx) must not be trailers either.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memchr, memcmp, memmove, memset

from fastroute.ext.memory.slice cimport arena_take
from fastroute.ext.message.fieldname cimport field_name
from fastroute.ext.message.message cimport DROPPED_HERE, FIELD_CLAIM, FIELD_MIMIC, Field
from fastroute.ext.message.octet cimport is_space, lower

FORBIDDEN = (
    # framing and the connection
    b"content-length", b"transfer-encoding", b"connection", b"http2-settings", b"keep-alive", b"proxy-connection", b"te",
    b"trailer", b"upgrade",
    # routing, and information about the client
    b"host", b"max-forwards", b"proxy", b"via", b"x-request-id",
    # controls and conditions of a request
    b"cache-control", b"expect", b"if-match", b"if-modified-since", b"if-none-match", b"if-range",
    b"if-unmodified-since", b"pragma", b"range",
    # negotiation
    b"accept", b"accept-charset", b"accept-encoding", b"accept-language",
    # authentication and state
    b"authorization", b"cookie", b"proxy-authenticate", b"proxy-authorization", b"set-cookie", b"www-authenticate",
    # controls of a response
    b"age", b"date", b"expires", b"location", b"refresh", b"retry-after", b"vary", b"warning",
    # interpretation of content
    b"content-encoding", b"content-range", b"content-type",
)
PREFIXES = (b"access-control-", b"x-forwarded-")

cdef enum:
    NAMES_MOST = 64
    NAME_MOST = 64              # no forbidden name is longer

cdef struct Name:
    const char *text
    uint8_t size

cdef Name names[NAMES_MOST]
cdef uint32_t names_count
cdef uint32_t prefixes_count    # number of prefixes, which come first in `names`


def _lay_out():
    """Copies the table into an array; the names live as long as the table."""
    global names_count, prefixes_count
    cdef uint32_t i = 0
    for name in PREFIXES + FORBIDDEN:
        if len(name) >= NAME_MOST:
            raise AssertionError("NAME_MOST is too small")
        names[i] = Name(<const char *> name, <uint8_t> len(name))
        i += 1
    names_count = i
    prefixes_count = <uint32_t> len(PREFIXES)


_lay_out()


cdef bint is_forbidden(const char *name, uint32_t size, uint8_t known) noexcept nogil:
    """Whether a trailer with this name, in any case, is dropped. `known`: its FieldName."""
    cdef char spelt[NAME_MOST]
    cdef uint32_t i
    if known == FIELD_CLAIM or known == FIELD_MIMIC:
        return True
    size = min(size, <uint32_t> NAME_MOST)
    for i in range(size):
        spelt[i] = c'-' if name[i] == c'_' else lower(name[i])
    for i in range(names_count):
        if (size == names[i].size or (i < prefixes_count and size > names[i].size)) \
                and memcmp(spelt, names[i].text, names[i].size) == 0:
            return True
    return False


cdef const char *take_line(Field *field, const char *at, const char *end) noexcept nogil:
    """Reads the line at `at`. Returns its end."""
    cdef const char *colon = <const char *> memchr(at, c':', end - at)
    cdef const char *start = colon + 1
    cdef const char *stop = <const char *> memchr(start, c'\r', end - start)
    cdef const char *next_ = stop + 2
    field.name = Slice(at, <uint32_t> (colon - at))
    while start < stop and is_space(start[0]):
        start += 1
    while stop > start and is_space((stop - 1)[0]):
        stop -= 1
    field.value = Slice(start, <uint32_t> (stop - start))
    field.known = field_name(at, field.name.size)
    field.dropped = field.received = 0
    return next_


cdef int trailers_read(Message *trailers, Slice section, uint32_t count, Arena *arena) noexcept nogil:
    cdef const char *at = section.data
    cdef const char *end = at + section.size
    cdef uint32_t i
    memset(trailers, 0, sizeof(Message))
    trailers.fields = <Field *> arena_take(arena, count * <uint32_t> sizeof(Field))
    if trailers.fields is NULL:
        return -1
    for i in range(count):
        at = take_line(&trailers.fields[i], at, end)
    trailers.fields_count = trailers.fields_room = count
    return 0


cdef void trailers_forbid(Message *trailers, bint all_, bint underscores) noexcept nogil:
    cdef Field *field
    cdef uint32_t i
    for i in range(trailers.fields_count):
        field = &trailers.fields[i]
        if all_ or is_forbidden(field.name.data, field.name.size, field.known) \
                or (underscores and memchr(field.name.data, c'_', field.name.size) is not NULL):
            field.dropped = DROPPED_HERE


cdef void trailers_join(const Message *trailers, Slice *section) noexcept nogil:
    cdef char *into = <char *> section.data
    cdef const char *last = section.data + section.size - 2
    cdef const char *start
    cdef const char *stop
    cdef uint32_t i
    for i in range(trailers.fields_count):
        start = trailers.fields[i].name.data
        stop = trailers.fields[i + 1].name.data if i + 1 < trailers.fields_count else last
        if not trailers.fields[i].dropped:
            memmove(into, start, stop - start)
            into += stop - start
    memmove(into, last, 2)
    section.size = <uint32_t> (into + 2 - section.data)
