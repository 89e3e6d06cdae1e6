# Which of the fields that a proxy must interpret itself a name belongs to.

from libc.stdint cimport uint8_t, uint32_t


# The FieldName of `size` bytes at `name`, without regard to case. FIELD_OTHER: not a known name. FIELD_MIMIC: a known
# name with '_' instead of '-'.
cdef uint8_t field_name(const char *name, uint32_t size) noexcept nogil
