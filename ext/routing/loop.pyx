# The mark of this installation, and requests that have it; see loop.pxd.

from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from fastroute.ext.http1.field cimport next_item
from fastroute.ext.http1.head cimport FIELD_LOOP
from fastroute.ext.http1.octet cimport OCTET_TOKEN, run_over
from fastroute.ext.memory.slice cimport slices_equal

cdef bytes NAME = b"Fastroute-Loop: "


cdef int mark_set(Mark *mark, str installation) except -1:
    cdef bytes id = installation.encode()
    cdef bytes line = NAME + id + b"\r\n" if id else b""
    cdef const char *start = id
    if len(id) > MARK_MOST or run_over(start, start + len(id), OCTET_TOKEN) != start + len(id):
        raise ValueError(f"{installation!r} is no token of at most {MARK_MOST} bytes")
    memcpy(&mark.text[0], <const char *> line, len(line))
    mark.line.data = &mark.text[0]
    mark.line.size = <uint32_t> len(line)
    mark.id.data = &mark.text[0] + len(NAME)
    mark.id.size = <uint32_t> len(id)
    return 0


cdef bint is_marked(const Mark *mark, const Head *head) noexcept nogil:
    cdef Slice rest, item
    cdef uint32_t i
    if mark.id.size == 0:
        return False
    for i in range(head.fields_count):
        if head.fields[i].known != FIELD_LOOP:
            continue
        rest = head.fields[i].value
        while next_item(&rest, &item):
            if slices_equal(&item, &mark.id):
                return True
    return False
