# The phrases of statuses.


# The standard phrase of a status, or "Unknown"; static, zero-terminated.
cdef const char *status_phrase(int status) noexcept nogil
