"""Trailers in an exchange; see trailing.pxd.

Trailers are a Message: the filters of the rule and of the backendRef drop the ones that they name, and those that no
trailer section may contain are dropped. HTTP/1 on both sides sends the lines of the others as they were received.
"""

from fastroute.ext.http1.trailer cimport trailers_join, trailers_read
from fastroute.ext.message.message cimport Message
from fastroute.ext.message.trailer cimport trailers_forbid
from fastroute.ext.routing.filters cimport filter_trailers


cdef int trailers_pass(Reactor r, const Exchange *x, const Body *body, Slice *passed, Slice section) noexcept nogil:
    cdef bint response = body is &x.response_body
    cdef Message trailers
    if section.size == 0:
        return 0
    if trailers_read(&trailers, section, body.trailer_fields, &r.arena) < 0:
        return -1
    trailers_forbid(&trailers, body.nominated, not response and not r.head_limits.keep_underscores)
    filter_trailers(x.rule.filters, response, &trailers)
    filter_trailers(x.target.filters, response, &trailers)
    trailers_join(&trailers, &section)
    if passed.size == 0:
        passed[0] = section
    else:
        passed.size += section.size         # they are adjacent: the section came in the same read
    return 0
