# A table by hostname: exact names, wildcards ("*.example.com": any depth below it, not itself), and "" for every host.
#
# It is walked from the most specific entry that matches a host to the least specific: exact, wildcards by length, "".
# The same table is used for the listeners of a port and the hostname groups of a listener. The values own the names.

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memchr

from fastroute.ext.memory.bytemap cimport ByteMap, bytemap_find
from fastroute.ext.memory.slice cimport Slice


cdef struct HostTable:
    ByteMap exact
    ByteMap wildcards           # by the part after "*."
    uint32_t longest            # bytes of the longest key of `wildcards`: longer suffixes are not looked up
    void *any                   # the value of ""

cdef enum WalkStage:
    WALK_EXACT = 0
    WALK_WILDCARDS
    WALK_ANY
    WALK_END

cdef struct HostWalk:
    const HostTable *table
    Slice host                  # lower case, without port
    uint32_t at                 # start of the suffix that was looked up last, or 1: "*" must match something
    uint8_t stage               # WalkStage


cdef inline void walk_start(HostWalk *walk, const HostTable *table, Slice host) noexcept nogil:
    walk.table = table
    walk.host = host
    walk.at = 1
    if host.size > table.longest + 2:       # no wildcard covers a longer suffix
        walk.at = host.size - table.longest - 1
    walk.stage = WALK_EXACT


cdef inline void *host_next(HostWalk *walk) noexcept nogil:
    """The next less specific entry that matches the host; NULL if there is none left."""
    cdef const HostTable *table = walk.table
    cdef const char *dot
    cdef void *found
    if walk.stage == WALK_EXACT:
        walk.stage = WALK_WILDCARDS
        if table.exact.used:
            found = bytemap_find(&table.exact, 0, walk.host.data, walk.host.size)
            if found != NULL:
                return found
    while walk.stage == WALK_WILDCARDS:
        dot = NULL
        if table.wildcards.used and walk.at < walk.host.size:
            dot = <const char *> memchr(walk.host.data + walk.at, c'.', walk.host.size - walk.at)
        if dot == NULL:
            walk.stage = WALK_ANY
            break
        walk.at = <uint32_t> (dot + 1 - walk.host.data)
        if walk.host.size - walk.at <= table.longest:
            found = bytemap_find(&table.wildcards, 0, dot + 1, walk.host.size - walk.at)
            if found != NULL:
                return found
    if walk.stage == WALK_ANY:
        walk.stage = WALK_END
        return table.any
    return NULL


cdef void hosts_start(HostTable *table) noexcept nogil
# Puts a hostname that is not in the table yet. MemoryError.
cdef int hosts_put(HostTable *table, Slice hostname, void *value) except -1 nogil
cdef void *hosts_get(const HostTable *table, Slice hostname) noexcept nogil     # the exact entry; NULL if there is none
# Iterates over all values: `cursor` starts at 0; NULL at the end.
cdef void *hosts_value(const HostTable *table, uint32_t *cursor) noexcept nogil
# Reserves room for about as many entries as `like` has. MemoryError.
cdef int hosts_expect(HostTable *table, const HostTable *like) except -1 nogil
# One step to make room for a hostname. Call it before `hosts_put` until it returns false. MemoryError.
cdef bint hosts_widen(HostTable *table, Slice hostname) except -1 nogil
cdef bint hosts_free_piece(HostTable *table) noexcept nogil         # frees a part; true if nothing is left
