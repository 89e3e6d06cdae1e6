# Trailers: fields after a body, as a Message, and which of them are not allowed.

from fastroute.ext.message.message cimport Message


# Drops the trailers that must not go on whatever the filters are. `all_`: all of them; `underscores`: those with '_' in
# their names.
cdef void trailers_forbid(Message *trailers, bint all_, bint underscores) noexcept nogil
