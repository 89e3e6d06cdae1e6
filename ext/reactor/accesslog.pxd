# The access log: one JSON object per line, formatted and written without Python, in appends of whole lines.

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from fastroute.ext.memory.slice cimport Slice


cdef struct Record:             # the content of one line; NULL data is JSON null. Slices are only read during the call
    uint64_t time               # microseconds since 1970, UTC
    Slice method
    Slice host
    Slice path                  # without query
    uint16_t version            # Version; VERSION_UNKNOWN: null
    uint16_t status             # 0: null (the client left before a response)
    Slice reason                # of a local response, or of the failure
    uint64_t bytes_received
    uint64_t bytes_sent
    uint64_t duration           # microseconds
    Slice upstream              # label of the endpoint
    uint64_t upstream_duration  # microseconds; meaningful with upstream
    Slice gateway
    Slice listener
    Slice route
    Slice route_kind
    Slice rule
    Slice backend
    Slice client
    Slice request_id
    uint16_t upstream_version   # Version on the connection to the backend; VERSION_UNKNOWN: null
    Slice tls_version           # of the client's TLS, if it ends here
    Slice server_name           # the name that the client's TLS asks for
    uint16_t grpc_outcome       # the status of gRPC plus 1; 0: none

cdef class AccessLog:           # AccessLog(fd): never blocks traffic if its reader is slow or gone
    cdef int fd
    cdef bint shared            # a pipe, socket or terminal: other workers write to it too, and its reader may be slow
    cdef char *buffer
    cdef uint32_t used          # bytes in the buffer: whole lines (after a partial write, the rest of a line first)
    cdef uint64_t second        # the second that is formatted in `stamp`
    cdef char stamp[20]         # "2026-01-31T23:59:59"
    cdef readonly uint64_t dropped      # lines lost because the reader was too slow, or the disk was full
    cdef void write(self, const Record *record) noexcept nogil
    cdef void flush(self) noexcept nogil        # the engine calls it at least once a second
    cdef void set_stamp(self, uint64_t second) noexcept nogil
    cdef uint32_t format(self, char *out, uint32_t room, uint32_t cut, const Record *record) noexcept nogil
    cdef void drop(self) noexcept nogil
