"""Each target takes any bytes, calls the data plane with them, and returns NULL, or a text that says which property did
not hold. Memory faults are found by the sanitizers.
"""

from fuzz.arrivals cimport fuzz_hello, fuzz_preface
from fuzz.bodies cimport fuzz_chunked
from fuzz.controls cimport fuzz_control
from fuzz.heads cimport fuzz_request, fuzz_response
from fuzz.paths cimport fuzz_path
from fuzz.routes cimport fuzz_routes
from fuzz.sessions cimport fuzz_http2

NAMES = ("request", "response", "chunked", "preface", "hello", "control", "path", "routes", "http2")

cdef Target[9] TARGETS = [
    fuzz_request, fuzz_response, fuzz_chunked, fuzz_preface, fuzz_hello, fuzz_control, fuzz_path, fuzz_routes,
    fuzz_http2,
]


cdef Target target_of(name) except NULL:
    if name not in NAMES:
        raise KeyError(name)
    return TARGETS[NAMES.index(name)]


def replay(name, bytes data):
    """Runs one input. Returns None, or the text of the target."""
    cdef Target target = target_of(name)
    cdef const uint8_t *bytes_ = data
    cdef size_t size = len(data)
    cdef const char *broken
    with nogil:
        broken = target(bytes_, size)
    return None if broken is NULL else broken.decode()
