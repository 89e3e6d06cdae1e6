# Dates of HTTP.

from libc.stdint cimport int64_t


# 29 bytes of IMF-fixdate (RFC 9110 section 5.6.7) for `seconds` since 1970.
cdef void write_date(char *out, int64_t seconds) noexcept nogil
