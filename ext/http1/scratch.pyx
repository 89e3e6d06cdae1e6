# A Head from Python values. The array of fields has no spare room, so that code that appends must extend it.

from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fastroute.ext.http1.field cimport field_name
from fastroute.ext.http1.head cimport Field
from fastroute.ext.memory.slice cimport arena_take


cdef bytes slice_bytes(const Slice *slice):
    return slice.data[:slice.size]


cdef class Scratch:
    def __cinit__(self, uint32_t size):
        memset(&self.head, 0, sizeof(Head))
        self.held = []
        self.arena.base = <char *> malloc(size if size else 1)
        self.arena.size = size
        self.arena.used = 0
        if self.arena.base == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.arena.base)

    cdef Slice keep(self, text):
        cdef bytes held = text.encode() if isinstance(text, str) else text
        cdef Slice slice
        self.held.append(held)
        slice.data = held
        slice.size = <uint32_t> len(held)
        return slice

    cdef int request(self, method, path, query, host, fields) except -1:
        cdef str name = host.lower()
        self.head.method = self.keep(method)
        self.head.path = self.keep(path)
        self.head.query = self.keep(query or b"")
        self.head.has_query = query is not None
        self.head.authority = self.keep(host)
        colon = name.rfind(":")
        if colon > name.rfind("]"):
            name = name[:colon]
        self.head.host = self.keep(name.removesuffix("."))
        return self.fill(fields)

    cdef int fill(self, fields) except -1:
        cdef Field *field
        cdef uint32_t count = <uint32_t> len(fields)
        self.head.fields = <Field *> arena_take(&self.arena, count * <uint32_t> sizeof(Field))
        if self.head.fields == NULL:
            raise MemoryError
        for name, value in fields:
            field = &self.head.fields[self.head.fields_count]
            field.name = self.keep(name)
            field.value = self.keep(value)
            field.known = field_name(field.name.data, field.name.size)
            field.dropped = field.received = 0
            self.head.fields_count += 1
        self.head.fields_room = count
        return 0

    cdef list fields(self):
        cdef uint32_t i
        return [
            (slice_bytes(&self.head.fields[i].name).decode(), slice_bytes(&self.head.fields[i].value).decode("latin-1"))
            for i in range(self.head.fields_count) if not self.head.fields[i].dropped
        ]
