# All choices by key.

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp

from fastroute.ext.memory.random cimport random_next, random_seed
from fastroute.ext.routing.balancer cimport choice_new, choice_unref

cdef uint64_t _random = random_seed()


cdef class ChoiceHandle:
    cdef Choice *choice

    def __dealloc__(self):
        if self.choice != NULL:
            choice_unref(self.choice)


cdef Choice *_choice_of(list weights) except NULL:
    """A new choice with a random phase."""
    cdef uint32_t count = <uint32_t> len(weights)
    cdef uint32_t *numbers = <uint32_t *> malloc((count + 1) * sizeof(uint32_t))
    cdef Choice *choice = NULL
    cdef uint32_t i
    if numbers == NULL:
        raise MemoryError
    try:
        for i in range(count):
            numbers[i] = weights[i]
        choice = choice_new(numbers, count, random_next(&_random))
    finally:
        free(numbers)
    if choice == NULL:
        raise MemoryError
    return choice


cdef bint _same_weights(const Choice *a, const Choice *b) noexcept nogil:
    return a.count == b.count and memcmp(a.weights, b.weights, a.count * sizeof(uint32_t)) == 0


cdef class Choices:
    def __cinit__(self):
        self.choices = {}

    cdef Choice *choice(self, str key, list weights) except NULL:
        cdef Choice *fresh = _choice_of(weights)
        cdef ChoiceHandle handle = self.choices.get(key)
        if handle is not None and _same_weights(handle.choice, fresh):
            choice_unref(fresh)
            handle.choice.refs += 1
            return handle.choice
        handle = ChoiceHandle()
        handle.choice = fresh
        self.choices[key] = handle
        fresh.refs += 1
        return fresh

    def pruning(self, Py_ssize_t most):
        cdef list idle = []
        if len(self.choices) <= most:
            return
        for key, handle in self.choices.items():
            if (<ChoiceHandle> handle).choice.refs == 1:
                idle.append(key)
            yield
        for key in idle:
            del self.choices[key]
            yield
