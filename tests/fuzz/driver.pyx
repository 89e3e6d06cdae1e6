"""libFuzzer, which calls a target again and again with new inputs, without the interpreter."""

from libc.stdint cimport uint8_t
from libc.stdio cimport fprintf, stderr
from libc.stdlib cimport abort, calloc

from fuzz.targets cimport Target, target_of

cdef extern from * nogil:
    """
    int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *data, size_t size));
    """
    int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *data, size_t size) noexcept nogil)

cdef Target chosen


cdef int once(const uint8_t *data, size_t size) noexcept nogil:
    cdef const char *broken = chosen(data, size)
    if broken is not NULL:
        fprintf(stderr, b"BROKEN PROPERTY: %s\n", broken)
        abort()
    return 0


def drive(name, list arguments):
    """Runs libFuzzer with these arguments (bytes). Ends the process if it finds something."""
    global chosen
    cdef int count = <int> len(arguments) + 1
    cdef char **vector = <char **> calloc(count + 1, sizeof(char *))
    cdef int i
    cdef int result
    chosen = target_of(name)
    vector[0] = b"fuzz"
    for i in range(1, count):
        vector[i] = arguments[i - 1]
    with nogil:
        result = LLVMFuzzerRunDriver(&count, &vector, once)
    return result
