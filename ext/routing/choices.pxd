# The weighted choices of all rules, by route and rule: shared by all versions of the tables.
#
# A rebuilt rule continues with its choice if its weights are equivalent. Otherwise every install would start a new
# period, and small weights would never be chosen. A route has one rule per listener it is attached to; these rules
# share one choice.

from fastroute.ext.routing.balancer cimport Choice


cdef class Choices:
    cdef dict choices           # key -> ChoiceHandle, which holds a reference
    # The choice of this key for these weights, with a reference. MemoryError.
    cdef Choice *choice(self, str key, list weights) except NULL
    # Also, from Python: `pruning(most)` removes choices that no rule uses, if there are more than `most`, in steps.
