# The TLS of one client or backend, as bytes in and bytes out: libssl uses pieces of memory instead of a socket.
#
# libssl reads from and writes to a Pipe. The engine has one Pipe, and lends it to one connection for one call: so many
# records are received in one call, and sent in one call. This module does not use sockets.

from libc.stdint cimport int8_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.memory.buffer cimport Buffer
from fastroute.ext.memory.list cimport Link, Member
from fastroute.ext.tls.certificate cimport DIGEST
from fastroute.ext.tls.openssl cimport BIO, SSL
from fastroute.ext.tls.secure cimport Secure
from fastroute.ext.tls.verification cimport Dialogue, Verification


cdef enum:
    RECORD = 16384              # maximum bytes of plaintext in a record
    RECORD_ROOM = 19456         # bytes of that plaintext when encrypted, also in records of 512 (RFC 6066 section 4)
    PIPE_ROOM = 180224          # bytes sent at once: ten records and some room
    # Bytes of memory that libssl has for a connection, as measured with OpenSSL 3.0 (tests/ext/test_tls_memory.py):
    IDLE_MEMORY = 14336         # always
    HANDSHAKE_MEMORY = 8192     # additionally until the connection is established, and
    MESSAGE_MEMORY = 22528      # while there is a part of a handshake message; more for a long chain (tls.pyx)
    RECORD_MEMORY = 17408       # while there is a part of a record

cdef struct Pipe:
    const char *input           # received, for libssl to read
    uint32_t input_size
    char *output                # PIPE_ROOM bytes: written by libssl, to be sent
    uint32_t output_size

cdef enum Progress:
    PROGRESS_BROKEN = -2        # the peer violated the protocol, or out of memory; `output` has the alert
    PROGRESS_CLOSED = -1        # the peer sent close_notify
    PROGRESS_WAIT = 0           # waiting for bytes from the peer
    PROGRESS_DONE = 1
    PROGRESS_FULL = 2           # waiting for room in `output`

cdef struct Tls:                # one block of memory
    SSL *ssl
    Link link                   # list of the handshakes in progress (Reactor.shaking)
    Link unread_link            # list of those with unread output (Reactor.unread)
    uint64_t started            # microseconds: when the handshake began
    Buffer input                # received and not read by libssl yet
    uint32_t unread             # bytes of memory for output of the handshake that the client has not read
    uint32_t message            # bytes of memory that libssl needs for the longest message of the handshake
    uint32_t memory             # bytes of memory of libssl, included in buffers_total
    uint16_t flow               # of its listener, or of the backends of a namespace (waiting.pxd)
    uint16_t owner              # of the namespace of its listener, or of the route that requested it
    Member waiting              # among the waiting handshakes
    uint8_t granted             # with a backend: its handshake has waited, and continues now
    uint8_t handshaking         # in the list of handshakes
    uint8_t closed              # close_notify was sent to the client
    uint8_t more                # libssl has plaintext for which there was no room
    uint8_t lent                # the connection is `readable` only for bytes already received, not for its socket
    int8_t over                 # PROGRESS_BROKEN or PROGRESS_CLOSED: the result of the next read
    Dialogue dialogue           # with a backend
    Buffer sealed               # with a backend: output of the handshake that the socket has not accepted
    unsigned long error         # of libssl, if the handshake is broken
    uint8_t clients             # Clients: whether a client is asked for its certificate, and
    uint8_t digest[DIGEST]      # of the CAs that issue these: what was valid when it was last verified
    uint8_t refused             # the client has no valid certificate, but must have one now
    uint32_t identity_size      # 0: the client has no valid certificate
    uint32_t shown              # bytes of memory that libssl needs for the certificates of the client
    char *identity              # the value of X-Forwarded-Client-Cert
    uint16_t idle_records       # consecutive records without data
    uint16_t name_size
    char name[0]                # name_size bytes: the TLS server name, in lower case; it determined the listener

# NULL if there is no certificate, or if out of memory.
cdef Tls *tls_new(const Secure *secure, Pipe *pipe, const char *name, uint32_t size) noexcept nogil
# The same for a connection to an endpoint, by its identity. The Verification must outlive it.
cdef Tls *tls_new_backend(Verification *verification, Pipe *pipe, uint64_t endpoint) noexcept nogil
cdef void tls_free(Tls *tls) noexcept nogil
# After the handshake with a client: keeps its identity, if it has shown a valid certificate. False: out of memory.
cdef bint tls_identify(Tls *tls) noexcept nogil
# Whether the client may send requests to this listener. If the listener verifies clients by other rules than those by
# which this client was verified last, its certificate is verified again, which may change or remove its identity.
cdef bint tls_admit(Tls *tls, const Secure *secure) noexcept nogil
# After a broken handshake with a client: why its certificate was not accepted; static text. NULL: it failed for another
# reason.
cdef const char *tls_refused(const Tls *tls) noexcept nogil
# After a broken handshake with a backend: why; static text. `invalid`: its certificate was not accepted.
cdef const char *tls_fault(const Tls *tls, bint *invalid) noexcept nogil
# Processes the input of the pipe. Returns a Progress.
cdef int tls_handshake(Tls *tls) noexcept nogil
cdef bint tls_resumed(const Tls *tls) noexcept nogil
# The version of an established connection, such as "TLSv1.3"; static text.
cdef const char *tls_version(const Tls *tls) noexcept nogil
# Whether client and server have agreed on HTTP/2 (ALPN).
cdef bint tls_speaks_http2(const Tls *tls) noexcept nogil
# Decrypts the input of the pipe, at most `room` bytes. Returns their number (> 0), or a Progress that is not positive.
# If there was no room for all of it, sets `more` or leaves input in the pipe.
cdef long tls_read(Tls *tls, Pipe *pipe, char *into, uint32_t room) noexcept nogil
# Encrypts at most RECORD bytes into the pipe, which must have RECORD_ROOM free: one record, unless the client asked for
# shorter ones. Returns 0, or -1 if it fails.
cdef int tls_write(Tls *tls, const char *data, uint32_t size) noexcept nogil
# Writes close_notify into the pipe, once.
cdef void tls_close(Tls *tls) noexcept nogil
cdef int pipe_open(Pipe *pipe) except -1            # raises MemoryError
cdef void pipe_free(Pipe *pipe) noexcept nogil
