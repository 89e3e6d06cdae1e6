# The fields of a head: lines to Fields, and what they mean for framing and for the connection.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.head cimport Head, HeadLimits
from fastroute.ext.slice cimport Arena, Slice


cdef struct Noted:              # what the fields of one head said about itself
    uint32_t hosts              # how many Host fields, and so on
    uint32_t lengths
    uint32_t codings
    uint32_t connections
    uint32_t upgrades
    uint32_t max_forwards
    uint8_t te_trailers
    uint8_t expects_continue
    Slice host                  # the value of the last
    Slice length
    Slice coding
    Slice protocols             # of Upgrade
    Slice forwards              # of Max-Forwards

cdef enum:
    NOMINATED_MOST = 64         # options that one head's Connection fields may list

# The FieldName of `size` bytes at `name`, in any case; FIELD_OTHER when it is none of them, FIELD_MIMIC when it is one
# but for a '_' in place of a '-'.
cdef uint8_t field_name(const char *name, uint32_t size) noexcept nogil
# Reads field lines from `at` up to and including the empty line, into head.fields, and notes what they mean. `at` is
# moved behind what was read. `tolerant`: of a space before the colon (RFC 9112 section 5.1 wants it removed from
# responses). Returns 1, 0 when `end` came first, or -Refusal.
cdef int take_fields(Head *head, Noted *noted, const char **at, const char *end, bint tolerant,
                     const HeadLimits *limits, Arena *arena) noexcept nogil
# The next item of a comma-separated list, without the space around it; empty items are skipped. False: none is left.
cdef bint next_item(Slice *rest, Slice *item) noexcept nogil
# What Connection says: keep_alive, upgrade and protocols, te_trailers; marks what it nominates. Returns 0 or -Refusal.
cdef int obey_connection(Head *head, const Noted *noted) noexcept nogil
# `stated` and `content_length` from what was noted (RFC 9112 section 6.3). Returns 0 or -Refusal.
cdef int state_framing(Head *head, const Noted *noted) noexcept nogil
# max_forwards of an OPTIONS or TRACE request that has the field. Returns 0 or -Refusal.
cdef int take_max_forwards(Head *head, const Noted *noted) noexcept nogil
# Removes the fields whose names contain '_'. CGI and WSGI read `X_User` as `X-User`, so a filter that sets the one would
# not stop the other. `end`: of the received head.
cdef void drop_underscores(Head *head, const char *end) noexcept nogil
# Why a line cannot stand, judged by the byte at `at` where reading it stopped: 0 when `end` came too early to say.
cdef int refuse_byte(const char *at, const char *end, int otherwise) noexcept nogil
