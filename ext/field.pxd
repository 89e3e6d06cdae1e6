# The fields of a head: lines to Fields, and what they mean for framing and for the connection.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.head cimport Head, HeadLimits
from fastroute.ext.slice cimport Arena


# The FieldName of `size` bytes at `name`, in any case; FIELD_OTHER when it is none of them.
cdef uint8_t field_name(const char *name, uint32_t size) noexcept nogil
