"""Trailers in an exchange; see trailing.pxd.

Trailers are a Message: the filters of the rule and of the backendRef drop the ones that they name, and those that no
trailer section may contain are dropped.
"""

from fastroute.ext.message.trailer cimport trailers_forbid
from fastroute.ext.routing.filters cimport filter_trailers


cdef void trailers_filter(Reactor r, const Exchange *x, bint response, bint nominated, Message *trailers) noexcept nogil:
    trailers_forbid(trailers, nominated, not response and not r.head_limits.keep_underscores)
    filter_trailers(x.rule.filters, response, trailers)
    filter_trailers(x.target.filters, response, trailers)
