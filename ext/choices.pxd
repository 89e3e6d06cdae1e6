# The weighted choices of all rules, by route and rule: shared by all versions of the tables.
#
# A rule that is made anew goes on with the choice it had, as long as its weights mean the same: otherwise every install
# would begin the period again, and small weights would never have their turn. The listeners a route is attached to have
# a rule each, and share one choice.

from fastroute.ext.balancer cimport Choice


cdef class Choices:
    cdef dict choices           # key -> ChoiceHandle, which holds a reference
    # The choice of this key for these weights, with a reference. Raises MemoryError.
    cdef Choice *choice(self, str key, list weights) except NULL
    cdef int prune(self, Py_ssize_t most) except -1     # forgets those that no rule has, once there are more than that
