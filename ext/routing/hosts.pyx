# Changing a table by hostname, and iterating over it.

from fastroute.ext.memory.graveyard cimport grave_unref
from fastroute.ext.memory.sharedmap cimport (
    sharedmap_longest, sharedmap_next, sharedmap_put, sharedmap_release, sharedmap_remove, sharedmap_share,
    sharedmap_start,
)


cdef bint _is_wildcard(const Slice *hostname) noexcept nogil:
    return hostname.size >= 2 and hostname.data[0] == c'*' and hostname.data[1] == c'.'


cdef void hosts_start(HostTable *table) noexcept nogil:
    sharedmap_start(&table.exact)
    sharedmap_start(&table.wildcards)
    table.longest = 0
    table.any = NULL


cdef int hosts_share(HostTable *table, const HostTable *other) except -1:
    sharedmap_share(&table.exact, &other.exact)
    sharedmap_share(&table.wildcards, &other.wildcards)
    table.longest = other.longest
    table.any = other.any
    if table.any != NULL:
        table.any.refs += 1
    return 0


cdef int hosts_put(HostTable *table, Slice hostname, Grave *value) except -1:
    if hostname.size == 0:
        table.any = value
        value.refs += 1
        return 0
    if not _is_wildcard(&hostname):
        return sharedmap_put(&table.exact, hostname.data, hostname.size, value)
    sharedmap_put(&table.wildcards, hostname.data + 2, hostname.size - 2, value)
    table.longest = max(table.longest, hostname.size - 2)
    return 0


cdef int hosts_remove(HostTable *table, Slice hostname) except -1:
    if hostname.size == 0:
        if table.any != NULL:
            grave_unref(table.any)
            table.any = NULL
        return 0
    if not _is_wildcard(&hostname):
        return sharedmap_remove(&table.exact, hostname.data, hostname.size)
    sharedmap_remove(&table.wildcards, hostname.data + 2, hostname.size - 2)
    if hostname.size - 2 == table.longest:
        table.longest = sharedmap_longest(&table.wildcards)
    return 0


cdef void *hosts_get(const HostTable *table, Slice hostname) noexcept nogil:
    if hostname.size == 0:
        return table.any
    if _is_wildcard(&hostname):
        return sharedmap_find(&table.wildcards, hostname.data + 2, hostname.size - 2)
    return sharedmap_find(&table.exact, hostname.data, hostname.size)


cdef void *hosts_next(const HostTable *table, HostCursor *cursor) noexcept nogil:
    cdef void *value = sharedmap_next(&table.exact, &cursor.exact)
    if value == NULL:
        value = sharedmap_next(&table.wildcards, &cursor.wildcards)
    if value == NULL and not cursor.past:
        value = table.any
        cursor.past = True
    return value


cdef bint hosts_release(HostTable *table, uint32_t *cursor) noexcept nogil:
    if not sharedmap_release(&table.exact, cursor) or not sharedmap_release(&table.wildcards, cursor):
        return False
    if table.any != NULL:
        grave_unref(table.any)
        table.any = NULL
    return True
