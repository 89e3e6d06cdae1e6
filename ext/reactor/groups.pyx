"""Connections in numbered groups; see groups.pxd."""

from libc.stdint cimport uint16_t, uint32_t
from libc.stdlib cimport calloc, free

from fastroute.ext.memory.list cimport Link
from fastroute.ext.memory.ranking cimport ranking_close, ranking_open, ranking_set
from fastroute.ext.reactor.linked cimport list_append, list_remove


cdef inline Link *group_link(Connection *c) noexcept nogil:
    return &c.group_link


cdef int groups_open(Groups *groups, uint32_t size) except -1:
    groups.groups = <Group *> calloc(size, sizeof(Group))
    if groups.groups is NULL:
        raise MemoryError
    return ranking_open(&groups.sizes, size)


cdef void groups_close(Groups *groups) noexcept nogil:
    free(groups.groups)
    ranking_close(&groups.sizes)


cdef void groups_add(Groups *groups, Slab *slab, Connection *c, uint16_t number) noexcept nogil:
    cdef Group *group = &groups.groups[number]
    c.grouped = True
    c.group = number
    list_append(slab, &group.connections, c, group_link)
    group.count += 1
    groups.count += 1
    ranking_set(&groups.sizes, number, group.count)


cdef void groups_remove(Groups *groups, Slab *slab, Connection *c) noexcept nogil:
    cdef Group *group = &groups.groups[c.group]
    list_remove(slab, &group.connections, c, group_link)
    c.grouped = False
    group.count -= 1
    groups.count -= 1
    ranking_set(&groups.sizes, c.group, group.count)


cdef Group *groups_largest(const Groups *groups) noexcept nogil:
    return &groups.groups[groups.sizes.order[0]] if groups.sizes.count else NULL
