# A Head from Python values. The array of fields has no spare room, so that code that appends must extend it.

from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fastroute.ext.memory.slice cimport arena_take
from fastroute.ext.message.fieldname cimport field_name
from fastroute.ext.message.message cimport Field
from fastroute.ext.message.method cimport method_of


cdef bytes slice_bytes(const Slice *slice):
    return slice.data[:slice.size]


cdef class Scratch:
    def __cinit__(self, uint32_t size):
        memset(&self.message, 0, sizeof(Message))
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
        self.message.method = self.keep(method)
        self.message.method_name = method_of(self.message.method)
        self.message.path = self.keep(path)
        self.message.query = self.keep(query or b"")
        self.message.has_query = query is not None
        self.message.authority = self.keep(host)
        colon = name.rfind(":")
        if colon > name.rfind("]"):
            name = name[:colon]
        self.message.host = self.keep(name.removesuffix("."))
        return self.fill(fields)

    cdef int fill(self, fields) except -1:
        cdef Field *field
        cdef uint32_t count = <uint32_t> len(fields)
        self.message.fields = <Field *> arena_take(&self.arena, count * <uint32_t> sizeof(Field))
        if self.message.fields == NULL:
            raise MemoryError
        for name, value in fields:
            field = &self.message.fields[self.message.fields_count]
            field.name = self.keep(name)
            field.value = self.keep(value)
            field.known = field_name(field.name.data, field.name.size)
            field.dropped = field.received = 0
            self.message.fields_count += 1
        self.message.fields_room = count
        return 0

    cdef list fields(self):
        cdef Field *field = self.message.fields
        cdef uint32_t i
        return [
            (slice_bytes(&field[i].name).decode(), slice_bytes(&field[i].value).decode("latin-1"))
            for i in range(self.message.fields_count) if not field[i].dropped
        ]
