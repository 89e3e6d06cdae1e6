"""Trailers; see trailer.pxd.

Some fields must not be trailers (RFC 9110 section 6.5.1): a recipient that merges trailers into the head would apply
them too late, or instead of the field in the head. They are dropped.

FORBIDDEN and PREFIXES are the only table; a name that begins with a prefix is forbidden, whatever its length. Fields
whose definition allows trailers (ETag, Accept-Ranges, Authentication-Info) are relayed, and so are all fields that are
not listed. CGI and WSGI do not distinguish '_' from '-', so this module does not either. Fields that only a trusted
proxy may send (FIELD_CLAIM of fieldname.pyx) must not be trailers either.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memchr, memcmp

from fastroute.ext.message.message cimport DROPPED_HERE, FIELD_CLAIM, FIELD_MIMIC, Field
from fastroute.ext.message.octet cimport lower

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


cdef void trailers_forbid(Message *trailers, bint all_, bint underscores) noexcept nogil:
    cdef Field *field
    cdef uint32_t i
    for i in range(trailers.fields_count):
        field = &trailers.fields[i]
        if all_ or is_forbidden(field.name.data, field.name.size, field.known) \
                or (underscores and memchr(field.name.data, c'_', field.name.size) is not NULL):
            field.dropped = DROPPED_HERE
