# One line of the access log: what it says, and the formats in which it is written. Nothing here uses Python.

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.reactor.logrecord cimport Record


cdef enum LogFormat:
    FORMAT_JSON = 0
    FORMAT_COMMON               # the Common Log Format of NCSA httpd
    FORMAT_COMBINED             # the same, followed by Referer and User-Agent
    FORMAT_TRACES               # what the main process makes spans of: a JSON array (traceline.pxd)

cdef struct Stamp:              # date and time of the lines of one second
    uint64_t second             # since 1970, UTC
    char[20] iso                # "2026-01-31T23:59:59"
    char[29] common             # "[31/Jan/2026:23:59:59 +0000]"

cdef void stamp_set(Stamp *stamp, uint64_t second) noexcept nogil
# Whether the line is about a failure: a status of 500 or more, one of gRPC that is an error of the server, or a reason.
cdef bint is_failure(const Record *record) noexcept nogil
# Writes one line with values of at most `cut` bytes to `out`; returns its bytes, 0 if `room` is too small. `stamp` is
# that of the second of the record.
cdef uint32_t line_write(char *out, uint32_t room, uint32_t cut, LogFormat format, const Stamp *stamp,
                         const Record *record) noexcept nogil
