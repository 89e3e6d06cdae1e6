# Trailer sections of bodies in chunks (RFC 9112 section 7.1.2), as a Message. message/trailer says which trailers go on.

from libc.stdint cimport uint32_t

from fastroute.ext.memory.slice cimport Arena, Slice
from fastroute.ext.message.message cimport Message


# The `count` trailers of a section that body_pass has checked, in the arena. Returns 0, or -1 if the arena is full.
cdef int trailers_read(Message *trailers, Slice section, uint32_t count, Arena *arena) noexcept nogil
# Removes the lines of dropped trailers from `section`, in which `trailers` lie. The others keep their bytes.
cdef void trailers_join(const Message *trailers, Slice *section) noexcept nogil
