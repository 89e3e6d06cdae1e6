# A sampled request as one line, for the main process, which makes spans of it.
#
# It is a JSON array, because a line of the access log can be written and read without Python objects in between, and its
# pipe, its buffer and its rules for too long values are the same. fastroute/traces/record.py has the names of the items.

from fastroute.ext.reactor.line cimport Line
from fastroute.ext.reactor.logrecord cimport Record


cdef void put_trace(Line *line, const Record *record) noexcept nogil
