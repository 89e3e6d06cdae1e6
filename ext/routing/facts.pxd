# What a request says, for matching: its header fields and query parameters by name, each parsed once per look-up.
#
# Matching asks for the same names again and again: once for each set of names that the matches of a path have. Without
# this index each question would read the whole head or query. Nothing is parsed before the first question, so requests
# whose rules have only paths cost nothing. Header fields that are not forwarded are left out: a match must not depend on
# what the backend cannot see.

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.memory.slice cimport Arena, Slice
from fastroute.ext.message.limits cimport HeadLimits
from fastroute.ext.message.message cimport Message


cdef struct Fact:               # one name of the request
    Slice name
    Slice value
    uint64_t hash               # of the name
    uint64_t value_hash         # 0: not computed yet
    uint32_t next               # in the list of its cell: index + 1; 0 at the end
    uint32_t lines              # header fields with this name; more than one: their values are not joined yet

cdef struct Names:              # a hash table with chains
    Fact *facts
    uint32_t *cells             # index + 1 of the first fact; 0: none. NULL: not parsed yet
    uint32_t count
    uint32_t mask

cdef struct Facts:
    const Message *message
    Slice method                # that matches compare: of HTTP, or the last part of the path of a call of gRPC
    Arena *arena
    Names headers
    Names query
    bint failed                 # no room in the arena, or two names have the same hash: answers are not valid

cdef void facts_start(Facts *facts, const Message *message, Arena *arena) noexcept nogil
# The header field with this name_hash: several lines are one value, joined with ",". NULL if there is none. Another name
# may have the same hash: compare the name before you use the value.
cdef Fact *fact_of_header(Facts *facts, uint64_t hash) noexcept nogil
# The first query parameter with this name, as received (escapes are not decoded); without "=" its value is empty.
cdef Fact *fact_of_parameter(Facts *facts, uint64_t hash) noexcept nogil
cdef uint64_t name_hash(const Slice *name, bint query) noexcept nogil
cdef uint64_t value_hash(Fact *fact) noexcept nogil
cdef uint64_t slice_hash(const Slice *slice) noexcept nogil     # equal for a value and the fact with this value
# Bytes of the arena that suffice for every request within these limits.
cdef uint32_t facts_room(const HeadLimits *limits) noexcept nogil
