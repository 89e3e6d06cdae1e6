# The mark of this installation, and requests that have it; see loop.pxd.

from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from fastroute.ext.memory.slice cimport slices_equal
from fastroute.ext.message.items cimport next_item
from fastroute.ext.message.message cimport FIELD_LOOP
from fastroute.ext.message.octet cimport OCTET_TOKEN, run_over

cdef int mark_set(Mark *mark, str installation) except -1:
    cdef bytes id = installation.encode()
    cdef const char *start = id
    if len(id) > MARK_MOST or run_over(start, start + len(id), OCTET_TOKEN) != start + len(id):
        raise ValueError(f"{installation!r} is no token of at most {MARK_MOST} bytes")
    memcpy(&mark.text[0], start, len(id))
    mark.id.data = &mark.text[0]
    mark.id.size = <uint32_t> len(id)
    return 0


cdef bint is_marked(const Mark *mark, const Message *message) noexcept nogil:
    cdef Slice rest, item
    cdef uint32_t i
    if mark.id.size == 0:
        return False
    for i in range(message.fields_count):
        if message.fields[i].known != FIELD_LOOP:
            continue
        rest = message.fields[i].value
        while next_item(&rest, &item):
            if slices_equal(&item, &mark.id):
                return True
    return False
