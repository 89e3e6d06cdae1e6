# Lists of connections. A connection is in as many lists at once as it has links: `at` says which of them a list uses. It
# is a constant at each call, so the compiler inserts it, and a list costs what it would cost with fields of its own.

from fastroute.ext.memory.list cimport Link, List
from fastroute.ext.reactor.connection cimport Connection, Slab, slab_at

ctypedef Link *(*LinkOf)(Connection *c) noexcept nogil


cdef inline Link *link_of(Connection *c) noexcept nogil:
    """The link of the list that its state implies."""
    return &c.link


cdef inline void list_append(const Slab *slab, List *list, Connection *c, LinkOf at) noexcept nogil:
    """Adds a connection that is not in the list, as the last one."""
    at(c).before = list.last
    at(c).after = 0
    if list.last != 0:
        at(slab_at(slab, list.last)).after = c.index
    else:
        list.first = c.index
    list.last = c.index


cdef inline void list_remove(const Slab *slab, List *list, Connection *c, LinkOf at) noexcept nogil:
    """Removes a connection that is in the list."""
    cdef Link link = at(c)[0]
    if link.before != 0:
        at(slab_at(slab, link.before)).after = link.after
    else:
        list.first = link.after
    if link.after != 0:
        at(slab_at(slab, link.after)).before = link.before
    else:
        list.last = link.before
    at(c).before = at(c).after = 0
