# A table by hostname: exact names, wildcards ("*.example.com": any depth below it, not itself), and "" for every host.
#
# It is walked from the most specific entry that matches a host to the least specific: exact, wildcards by length, "".
# The same table is used for the listeners of a place and the hostname groups of a listener. The values own the names; the
# table has a reference to each value. Copies of a table share what is equal (sharedmap.pxd).

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memchr

from fastroute.ext.memory.graveyard cimport Grave
from fastroute.ext.memory.sharedmap cimport SharedCursor, SharedMap, sharedmap_find
from fastroute.ext.memory.slice cimport Slice


cdef struct HostTable:
    SharedMap exact
    SharedMap wildcards         # by the part after "*."
    uint32_t longest            # bytes of the longest key of `wildcards`: longer suffixes are not looked up
    Grave *any                  # the value of ""

cdef struct HostCursor:         # of an iteration, at first zero
    SharedCursor exact
    SharedCursor wildcards
    bint past                   # also the value of "" was returned

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
            found = sharedmap_find(&table.exact, walk.host.data, walk.host.size)
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
            found = sharedmap_find(&table.wildcards, dot + 1, walk.host.size - walk.at)
            if found != NULL:
                return found
    if walk.stage == WALK_ANY:
        walk.stage = WALK_END
        return table.any
    return NULL


cdef inline bint hosts_are_empty(const HostTable *table) noexcept nogil:
    return not table.exact.used and not table.wildcards.used and table.any == NULL


cdef void hosts_start(HostTable *table) noexcept nogil
cdef int hosts_share(HostTable *table, const HostTable *other) except -1    # makes an empty table a copy. MemoryError
# Puts a hostname that is not in the table yet. MemoryError.
cdef int hosts_put(HostTable *table, Slice hostname, Grave *value) except -1
cdef int hosts_remove(HostTable *table, Slice hostname) except -1           # if the table has it. MemoryError
cdef void *hosts_get(const HostTable *table, Slice hostname) noexcept nogil     # the exact entry; NULL if there is none
cdef void *hosts_next(const HostTable *table, HostCursor *cursor) noexcept nogil    # all values; NULL at the end
# Releases a part; true if nothing is left. `cursor` is 0 at first.
cdef bint hosts_release(HostTable *table, uint32_t *cursor) noexcept nogil
