# Filling a table by hostname, and iterating over it.

from fastroute.ext.memory.bytemap cimport bytemap_expect, bytemap_free_piece, bytemap_put, bytemap_start, bytemap_widen


cdef bint _is_wildcard(const Slice *hostname) noexcept nogil:
    return hostname.size >= 2 and hostname.data[0] == c'*' and hostname.data[1] == c'.'


cdef void hosts_start(HostTable *table) noexcept nogil:
    bytemap_start(&table.exact)
    bytemap_start(&table.wildcards)
    table.longest = 0
    table.any = NULL


cdef int hosts_put(HostTable *table, Slice hostname, void *value) except -1 nogil:
    if hostname.size == 0:
        table.any = value
        return 0
    if _is_wildcard(&hostname):
        table.longest = max(table.longest, hostname.size - 2)
        return bytemap_put(&table.wildcards, 0, hostname.data + 2, hostname.size - 2, value)
    return bytemap_put(&table.exact, 0, hostname.data, hostname.size, value)


cdef void *hosts_get(const HostTable *table, Slice hostname) noexcept nogil:
    if hostname.size == 0:
        return table.any
    if _is_wildcard(&hostname):
        return bytemap_find(&table.wildcards, 0, hostname.data + 2, hostname.size - 2)
    return bytemap_find(&table.exact, 0, hostname.data, hostname.size)


cdef void *hosts_value(const HostTable *table, uint32_t *cursor) noexcept nogil:
    cdef uint32_t exact = table.exact.mask + 1 if table.exact.cells != NULL else 0
    cdef uint32_t wildcards = table.wildcards.mask + 1 if table.wildcards.cells != NULL else 0
    cdef void *value
    while cursor[0] < exact + wildcards:
        if cursor[0] < exact:
            value = table.exact.cells[cursor[0]].value
        else:
            value = table.wildcards.cells[cursor[0] - exact].value
        cursor[0] += 1
        if value != NULL:
            return value
    if cursor[0] == exact + wildcards:
        cursor[0] += 1
        return table.any
    return NULL


cdef int hosts_expect(HostTable *table, const HostTable *like) except -1 nogil:
    bytemap_expect(&table.exact, like.exact.used)
    return bytemap_expect(&table.wildcards, like.wildcards.used)


cdef bint hosts_widen(HostTable *table, Slice hostname) except -1 nogil:
    return bytemap_widen(&table.wildcards if _is_wildcard(&hostname) else &table.exact, 1)


cdef bint hosts_free_piece(HostTable *table) noexcept nogil:
    return bytemap_free_piece(&table.exact) and bytemap_free_piece(&table.wildcards)
