# Regular expressions of routes: RE2, in time linear in the text whatever the pattern. The only C++ here.

from libc.stdint cimport uint32_t


cdef struct Pattern             # a compiled expression; immutable

# Raises ValueError with RE2's message. `pattern` is UTF-8.
cdef Pattern *pattern_new(const char *pattern, uint32_t size) except NULL
cdef void pattern_free(Pattern *pattern) noexcept nogil
# What every text that matches begins with, as far as RE2 can tell: at most `room` bytes, their number.
cdef uint32_t pattern_beginning(const Pattern *pattern, char *beginning, uint32_t room) noexcept nogil
# Whether the whole text matches. Text is read as UTF-8: what is no character is matched by no pattern but \C.
cdef bint pattern_matches(const Pattern *pattern, const char *text, uint32_t size) noexcept nogil
