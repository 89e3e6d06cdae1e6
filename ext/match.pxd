# Whether a request satisfies a match: method, headers, query parameters, and the path if it is a regular expression
# (other paths are found by look-up).

from fastroute.ext.head cimport Head
from fastroute.ext.rule cimport Match
from fastroute.ext.slice cimport Arena, Slice


cdef bint match_takes(const Match *match, const Head *head, Arena *arena) noexcept nogil
# The value of a header (name in lower case); several lines are joined in the arena. False: absent, or no room.
cdef bint header_value(const Slice *name, const Head *head, Arena *arena, Slice *value) noexcept nogil
# The value of the first query parameter with this name; false: absent.
cdef bint parameter_value(const Slice *name, const Head *head, Slice *value) noexcept nogil
