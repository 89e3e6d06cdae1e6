# Whether a request is what a match asks for: method, headers, query parameters, and the path where that is an
# expression (other paths are found, not tried).

from fastroute.ext.head cimport Head
from fastroute.ext.rule cimport Match
from fastroute.ext.slice cimport Arena, Slice


cdef bint match_takes(const Match *match, const Head *head, Arena *arena) noexcept nogil
# The value of a header (name in lower case), values of several lines joined in the arena; false: absent, or no room.
cdef bint header_value(const Slice *name, const Head *head, Arena *arena, Slice *value) noexcept nogil
# The value of the first query parameter of this name; false: absent.
cdef bint parameter_value(const Slice *name, const Head *head, Slice *value) noexcept nogil
