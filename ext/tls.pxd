# One client's TLS, as bytes in and bytes out: libssl with pieces of memory for a socket.
#
# libssl reads from and writes to a Pipe, which is the engine's and lent to one connection for one call: so bytes are
# received once, as many records as there are, and go out in one call. Nothing here knows a socket.

from libc.stdint cimport int8_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.buffer cimport Buffer
from fastroute.ext.hello cimport NAME_MOST
from fastroute.ext.openssl cimport BIO, SSL
from fastroute.ext.secure cimport Secure


cdef enum:
    RECORD = 16384              # bytes of plaintext in a record at most
    RECORD_ROOM = 19456         # bytes that so much takes when it is sealed, also in records of 512 (RFC 6066 section 4)
    PIPE_ROOM = 180224          # bytes that go out at once: ten records and a little

cdef struct Pipe:
    const char *input           # received, for libssl to take
    uint32_t input_size
    char *output                # PIPE_ROOM bytes: what libssl wants to send
    uint32_t output_size

cdef enum Progress:
    PROGRESS_BROKEN = -2        # the peer broke the protocol, or there is no memory; what `output` holds says so
    PROGRESS_CLOSED = -1        # the peer said that nothing more comes
    PROGRESS_WAIT = 0           # for bytes of the peer
    PROGRESS_DONE = 1
    PROGRESS_FULL = 2           # for room in `output`

cdef struct Tls:                # one block of memory
    SSL *ssl
    uint32_t before             # handshakes in progress, by slab index: a list, the oldest first
    uint32_t after
    uint64_t started            # microseconds: when the handshake began
    Buffer input                # received and not taken by libssl yet
    uint8_t handshaking         # in that list
    uint8_t closed              # the client was told that nothing more comes
    uint8_t more                # libssl holds plaintext that found no room
    uint8_t lent                # the connection is `readable` for what is in hand alone, not for its socket
    int8_t over                 # PROGRESS_BROKEN or PROGRESS_CLOSED: what the next read says
    uint16_t idle_records       # records without data, since the last with some
    uint16_t name_size
    char name[NAME_MOST]        # that the client asked for, in lower case: it chose the listener

# NULL: nothing to show, or no memory.
cdef Tls *tls_new(const Secure *secure, Pipe *pipe, const char *name, uint32_t size) noexcept nogil
cdef void tls_free(Tls *tls) noexcept nogil
# Takes what the pipe has. Returns a Progress.
cdef int tls_handshake(Tls *tls) noexcept nogil
cdef bint tls_resumed(const Tls *tls) noexcept nogil
# Opens what the pipe has, at most `room` bytes. Returns their number (> 0), or a Progress that is not positive. Sets
# `more` or leaves input in the pipe when there was no room.
cdef long tls_read(Tls *tls, Pipe *pipe, char *into, uint32_t room) noexcept nogil
# Seals at most RECORD bytes into the pipe, which has RECORD_ROOM: one record, unless the client asked for shorter ones.
# Returns 0, or -1 when it cannot be.
cdef int tls_write(Tls *tls, const char *data, uint32_t size) noexcept nogil
# Says that nothing more comes (close_notify), once; into the pipe.
cdef void tls_close(Tls *tls) noexcept nogil
cdef int pipe_open(Pipe *pipe) except -1            # MemoryError
cdef void pipe_free(Pipe *pipe) noexcept nogil
