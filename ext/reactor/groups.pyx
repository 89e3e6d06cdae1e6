"""Connections in numbered groups; see groups.pxd."""

from libc.stdint cimport uint16_t, uint32_t
from libc.stdlib cimport calloc, free

from fastroute.ext.memory.list cimport Link
from fastroute.ext.reactor.linked cimport list_append, list_remove


cdef inline Link *group_link(Connection *c) noexcept nogil:
    return &c.group_link


cdef int groups_open(Groups *groups, uint32_t size) except -1:
    groups.groups = <Group *> calloc(size, sizeof(Group))
    groups.active = <uint16_t *> calloc(size, sizeof(uint16_t))
    if groups.groups is NULL or groups.active is NULL:
        raise MemoryError
    return 0


cdef void groups_close(Groups *groups) noexcept nogil:
    free(groups.groups)
    free(groups.active)


cdef void groups_add(Groups *groups, Slab *slab, Connection *c, uint16_t number) noexcept nogil:
    cdef Group *group = &groups.groups[number]
    if group.count == 0:
        group.position = groups.active_count
        groups.active[groups.active_count] = number
        groups.active_count += 1
    c.grouped = True
    c.group = number
    list_append(slab, &group.connections, c, group_link)
    group.count += 1
    groups.count += 1


cdef void groups_remove(Groups *groups, Slab *slab, Connection *c) noexcept nogil:
    cdef Group *group = &groups.groups[c.group]
    list_remove(slab, &group.connections, c, group_link)
    c.grouped = False
    group.count -= 1
    groups.count -= 1
    if group.count == 0:
        groups.active_count -= 1
        groups.active[group.position] = groups.active[groups.active_count]
        groups.groups[groups.active[group.position]].position = group.position


cdef Group *groups_largest(const Groups *groups) noexcept nogil:
    cdef Group *most = NULL
    cdef Group *group
    cdef uint32_t i
    for i in range(groups.active_count):
        group = &groups.groups[groups.active[i]]
        if most is NULL or group.count > most.count:
            most = group
    return most
