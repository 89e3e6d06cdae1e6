# Whether a request is what a match asks for beyond its path: method, headers, query parameters.

from fastroute.ext.head cimport Head
from fastroute.ext.rule cimport Match
from fastroute.ext.slice cimport Arena


cdef bint match_takes(const Match *match, const Head *head, Arena *arena) noexcept nogil
