# Listeners, rules and a request, made from the bytes of an input.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport Field, Message
from fastroute.ext.routing.regex cimport Pattern
from fastroute.ext.routing.rule cimport Match, Rule, ValueTest

from fuzz.input cimport Input


cdef enum:
    LISTENERS_MOST = 4
    RULES_MOST = 12
    MATCHES_MOST = 3            # of a rule
    TESTS_MOST = 2              # of headers, and of query parameters
    FIELDS_MOST = 8
    FIELDS_READ = 4             # of these from the input; the others say what kind of a request it is
    ROOM = 16384                # bytes of all texts that are put together
    SOCKETS = 2

cdef struct Home:               # a listener
    uint32_t socket
    Slice hostname

cdef struct World:
    Home listeners[LISTENERS_MOST]
    uint32_t listeners_count
    Rule rules[RULES_MOST]
    uint32_t homes[RULES_MOST]          # the index of the listener of each rule
    Slice hostnames[RULES_MOST]         # of its route
    uint32_t rules_count
    Match matches[RULES_MOST][MATCHES_MOST]
    ValueTest tests[RULES_MOST][MATCHES_MOST][2][TESTS_MOST]
    char ranks[RULES_MOST][MATCHES_MOST][2]
    uint32_t socket             # at which the request arrives
    Message message
    bint calls                  # it is a call of gRPC or gRPC-Web
    Field fields[FIELDS_MOST]
    char room[ROOM]
    uint32_t used

# The texts in the world point into the input and into the world itself.
cdef void world_read(World *world, Input *input) noexcept nogil
