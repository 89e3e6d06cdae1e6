# Two backends: one answers requests of HTTP/1.1 with one of some answers, the other sends a script of HTTP/2 frames.

from libc.stdint cimport uint8_t, uint32_t

from fuzz.script cimport Script


cdef enum:
    ANSWERS = 9

cdef struct Conduct:            # of the backends in one session
    uint8_t answer              # of HTTP/1.1: below ANSWERS
    uint32_t step               # bytes of the script that are sent at once
    bint closes                 # the backend of HTTP/2 closes behind its script
    Script script

# Opens the listening sockets and returns their ports: of HTTP/1.1, of HTTP/2.
cdef tuple servers_open()
# Accepts connections, takes what has arrived, and sends the next bytes of answers.
cdef void servers_serve(const Conduct *conduct) noexcept nogil
# Closes all connections.
cdef void servers_leave() noexcept nogil
