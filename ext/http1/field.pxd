# The fields of a head: parsing field lines into Fields, and their meaning for framing and for the connection.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.http1.head cimport Head
from fastroute.ext.memory.slice cimport Arena, Slice
from fastroute.ext.message.limits cimport HeadLimits
from fastroute.ext.message.message cimport Message


cdef struct Noted:              # what the fields of one head say about the head itself
    uint32_t hosts              # number of Host fields, and so on
    uint32_t lengths
    uint32_t codings
    uint32_t connections
    uint32_t upgrades
    uint32_t max_forwards
    uint32_t loops
    uint8_t te_trailers
    uint8_t expects_continue
    Slice host                  # the value of the last one
    Slice length
    Slice coding
    Slice protocols             # of Upgrade
    Slice forwards              # of Max-Forwards

cdef enum:
    NOMINATED_MOST = 64         # maximum number of options in the Connection fields of one head

# Parses field lines from `at` up to and including the empty line into head.fields, and notes their meaning. Moves `at`
# to the end of what was parsed. `tolerant`: allows white space before the colon (RFC 9112 section 5.1 requires proxies
# to remove it from responses). Returns 1, 0 if `end` is reached before the empty line, or -Refusal.
cdef int take_fields(Head *head, Noted *noted, const char **at, const char *end, bint tolerant,
                     const HeadLimits *limits, Arena *arena) noexcept nogil
# Evaluates Connection: keep_alive, upgrade and protocols, te_trailers; marks the nominated fields. Returns 0 or
# -Refusal.
cdef int obey_connection(Head *head, const Noted *noted) noexcept nogil
# Sets `stated` and `content_length` from what was noted (RFC 9112 section 6.3). Returns 0 or -Refusal.
cdef int state_framing(Head *head, const Noted *noted) noexcept nogil
# Removes the fields whose names contain '_'. CGI and WSGI treat `X_User` like `X-User`, so a filter that sets one of
# them would not replace the other. `end`: end of the received head.
cdef void drop_underscores(Message *message, const char *end) noexcept nogil
# -Refusal for a line that was parsed up to the byte at `at`; 0 if more bytes are needed to decide.
cdef int refuse_byte(const char *at, const char *end, int otherwise) noexcept nogil
