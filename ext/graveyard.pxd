# Where dead parts of old tables wait to be freed, a little at a time.
#
# Freeing thousands of rules at once would hold up traffic. So a part whose last reference goes is only put on a list
# here; `collect` takes them apart in slices. A part is taken apart by the function it was registered with, which may
# bury others. One list for the process: one thread uses it.

from libc.stdint cimport uint32_t


ctypedef bint (*Dismantle)(Grave *grave) noexcept nogil     # does a bounded piece of work; true when all is freed

cdef struct Grave:              # the first member of everything that can be buried
    uint32_t refs
    uint32_t cursor             # how far its dismantling has come
    Dismantle dismantle
    Grave *next

cdef void bury(Grave *grave) noexcept nogil
cdef bint collect_for(uint32_t microseconds) noexcept nogil     # true: something is left
