"""Connections in numbered groups; see groups.pxd."""

from libc.stdint cimport uint16_t, uint32_t
from libc.stdlib cimport calloc, free

from fastroute.ext.memory.list cimport Member
from fastroute.ext.memory.ranking cimport ranking_close, ranking_open, ranking_set
from fastroute.ext.reactor.linked cimport list_append, list_remove


cdef int groups_open(Groups *groups, uint32_t size, MemberOf member, LinkOf link) except -1:
    groups.member = member
    groups.link = link
    groups.groups = <Group *> calloc(size, sizeof(Group))
    if groups.groups is NULL:
        raise MemoryError
    return ranking_open(&groups.sizes, size)


cdef void groups_close(Groups *groups) noexcept nogil:
    free(groups.groups)
    ranking_close(&groups.sizes)


cdef void groups_add(Groups *groups, Slab *slab, Connection *c, uint16_t number) noexcept nogil:
    cdef Group *group = &groups.groups[number]
    cdef Member *member = groups.member(c)
    member.present = True
    member.number = number
    list_append(slab, &group.connections, c, groups.link)
    group.count += 1
    groups.count += 1
    ranking_set(&groups.sizes, number, group.count)


cdef void groups_remove(Groups *groups, Slab *slab, Connection *c) noexcept nogil:
    cdef Member *member = groups.member(c)
    cdef Group *group = &groups.groups[member.number]
    list_remove(slab, &group.connections, c, groups.link)
    member.present = False
    group.count -= 1
    groups.count -= 1
    ranking_set(&groups.sizes, member.number, group.count)


cdef Group *groups_largest(const Groups *groups) noexcept nogil:
    return &groups.groups[groups.sizes.order[0]] if groups.sizes.count else NULL
