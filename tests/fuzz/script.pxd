# The frames of HTTP/2 that an input lists: those of the client, and those of a backend.
#
# A frame is: kind, flags, stream, size of the payload, and the payload. Some kinds are no frames but bytes as they are, or
# a block of fields behind a complete request or answer.

from libc.stdint cimport uint8_t, uint32_t

from fuzz.input cimport Input


cdef enum:
    SCRIPT_ROOM = 131072        # bytes of all frames of one side

cdef struct Script:
    uint32_t used
    char[SCRIPT_ROOM] frames

cdef void script_put(Script *script, const void *data, uint32_t size) noexcept nogil
# Reads one frame of the input, and appends it to the script of its side.
cdef void script_read(Input *input, Script *client, Script *backend) noexcept nogil
