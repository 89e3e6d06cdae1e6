# The request target: its forms. Paths and authorities are the same in every protocol (message/path, message/authority).

from fastroute.ext.http1.head cimport Head
from fastroute.ext.memory.slice cimport Arena
from fastroute.ext.message.limits cimport HeadLimits


# Sets path, query and (absolute-form) authority from head.target. Returns 0 or -Refusal.
cdef int take_target(Head *head, const HeadLimits *limits, Arena *arena) noexcept nogil
