# Which of the fields that a proxy must interpret itself a name belongs to.
#
# Known names are found by a perfect hash over the length and three octets. field_name is inline, because it is called for
# every field of every head; the tables are filled by fieldname.pyx.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport FIELD_OTHER
from fastroute.ext.message.octet cimport is_text

cdef enum:
    NAME_MOST = 24              # bytes of the longest known name
    NAMES_MOST = 96             # known names, including the empty one
    CELLS = 512                 # of the perfect hash: the upper 9 of 32 bits

cdef struct KnownName:
    Slice text                  # in lower case
    uint8_t known               # FieldName

cdef KnownName[<int> NAMES_MOST] known_names    # the first one is empty: no name
cdef uint8_t[<int> CELLS] name_cells            # index into known_names by hash
cdef uint32_t name_factor                       # makes the hash perfect


cdef inline uint32_t cell_of(const char *name, uint32_t size) noexcept nogil:
    """A hash of the size and the first, the middle and the last octet, with letters in lower case and '_' in the middle
    as '-'. `size` > 0."""
    cdef uint32_t ends = <uint32_t> (name[0] | 0x20) << 8 | <uint32_t> (name[size - 1] | 0x20)
    cdef uint32_t middle = c'-' if name[size >> 1] == c'_' else name[size >> 1] | 0x20
    return ((size << 24 | middle << 16 | ends) * name_factor) >> 23


# The FieldName of a name that is not a known one in another case: FIELD_MIMIC, FIELD_CLAIM or FIELD_OTHER. `known`: the
# one in its cell.
cdef uint8_t unknown_name(const char *name, uint32_t size, const KnownName *known) noexcept nogil


cdef inline uint8_t field_name(const char *name, uint32_t size) noexcept nogil:
    """The FieldName of `size` bytes at `name`, without regard to case. FIELD_OTHER: not a known name. FIELD_MIMIC: a
    known name with '_' instead of '-'."""
    cdef const KnownName *known = &known_names[0]
    if size == 0:
        return FIELD_OTHER
    if size <= NAME_MOST:
        known = &known_names[name_cells[cell_of(name, size)]]
        if is_text(name, size, known.text.data, known.text.size):
            return known.known
    if known.text.size != size and name[0] | 0x20 != c'x':      # as all prefixes of FIELD_CLAIM begin
        return FIELD_OTHER
    return unknown_name(name, size, known)
