# Regular expressions of routes: RE2, whose time is linear in the text for every pattern. The only C++ here.

from libc.stdint cimport uint32_t


cdef enum:
    PATH_MOST = 8192            # bytes of a path that an expression sees; a longer one does not match
    VALUE_MOST = 4096           # likewise for a header or a query parameter

cdef struct Pattern             # a compiled expression; immutable

# Raises ValueError with the message of RE2. `pattern` is UTF-8.
cdef Pattern *pattern_new(const char *pattern, uint32_t size) except NULL
cdef void pattern_free(Pattern *pattern) noexcept nogil
# The prefix that every matching text has, as far as RE2 can tell: at most `room` bytes; returns its length.
cdef uint32_t pattern_beginning(const Pattern *pattern, char *beginning, uint32_t room) noexcept nogil
# Whether the whole text matches. Text is read as UTF-8: invalid bytes are matched only by \C.
cdef bint pattern_matches(const Pattern *pattern, const char *text, uint32_t size) noexcept nogil
