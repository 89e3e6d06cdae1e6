# Parts of old tables that wait to be freed, a little at a time.
#
# Freeing thousands of rules at once would delay traffic. So when the last reference to a part is dropped, the part is
# only added to a list here, and `collect` frees the list in slices. The function that was registered with a part frees
# it, and may add other parts. There is one list per process, used by one thread.

from libc.stdint cimport uint32_t


ctypedef bint (*Dismantle)(Grave *grave) noexcept nogil     # frees a bounded amount; true if everything is freed

cdef struct Grave:              # the first member of everything that can be added
    uint32_t refs
    uint32_t cursor             # progress of the dismantling
    Dismantle dismantle
    Grave *next

cdef void bury(Grave *grave) noexcept nogil


cdef inline void grave_unref(Grave *grave) noexcept nogil:
    """Drops a reference; without references it is added."""
    grave.refs -= 1
    if grave.refs == 0:
        bury(grave)


cdef bint collect_for(uint32_t microseconds) noexcept nogil     # true: something is left
