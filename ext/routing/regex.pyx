# Regular expressions of routes, by RE2: time linear in the text, whatever the pattern.
#
# Linear time is not enough, because the pattern of one tenant runs in a gateway that all tenants use. RE2 builds the
# states of an automaton while it matches, and then needs 2 ns per byte. If the states need more than a part of MEMORY, it
# executes in the worst case every instruction of the program for each byte: 7 ms for 200 instructions and 4 KiB. So a
# pattern has at most PROGRAM_MOST instructions, the text is at most PATH_MOST or VALUE_MOST bytes long (regex.pxd), and
# fastroute/graph/automaton.py refuses patterns with too many states.

# The text type of RE2 was StringPiece and is now std::string_view; brace initialisation works for both.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

cdef enum:
    MEMORY = 512 * 1024
    PROGRAM_MOST = 200


cdef extern from * nogil:
    """
    #include <re2/re2.h>
    #include <new>
    #include <string>

    static re2::RE2 *fastroute_re2_new(const char *pattern, size_t size, int64_t memory) {
        re2::RE2::Options options;
        options.set_log_errors(false);
        options.set_max_mem(memory);
        return new (std::nothrow) re2::RE2({pattern, size}, options);
    }
    static bool fastroute_re2_matches(const re2::RE2 *expression, const char *text, size_t size) {
        return expression->Match({text, size}, 0, size, re2::RE2::ANCHOR_BOTH, nullptr, 0);
    }
    // All matching texts lie between two texts: the common prefix of these two is a prefix of all.
    static uint32_t fastroute_re2_beginning(const re2::RE2 *expression, char *beginning, uint32_t room) {
        std::string least, most;
        uint32_t size = 0;
        if (!expression->PossibleMatchRange(&least, &most, room + 1)) return 0;
        while (size < room && size < least.size() && size < most.size() && least[size] == most[size]) {
            beginning[size] = least[size];
            size++;
        }
        return size;
    }
    """
    cppclass RE2 "re2::RE2":
        bint ok()
        const char *error "error().c_str"()
        int size "ProgramSize"()
    RE2 *re2_new "fastroute_re2_new"(const char *pattern, size_t size, long memory)
    uint32_t re2_beginning "fastroute_re2_beginning"(const RE2 *expression, char *beginning, uint32_t room)
    bint re2_matches "fastroute_re2_matches"(const RE2 *expression, const char *text, size_t size)


cdef struct Pattern:            # never defined: a Pattern * is an RE2 *
    int unused


cdef Pattern *pattern_new(const char *pattern, uint32_t size) except NULL:
    cdef RE2 *expression = re2_new(pattern, size, MEMORY)
    if expression == NULL:
        raise MemoryError
    message = None
    if not expression.ok():
        message = expression.error().decode("utf-8", "replace")
    elif expression.size() > PROGRAM_MOST:
        message = f"pattern too large: {expression.size()} instructions, {PROGRAM_MOST} are allowed"
    if message is not None:
        del expression
        raise ValueError(message)
    return <Pattern *> expression


cdef void pattern_free(Pattern *pattern) noexcept nogil:
    cdef RE2 *expression = <RE2 *> pattern
    del expression


cdef uint32_t pattern_beginning(const Pattern *pattern, char *beginning, uint32_t room) noexcept nogil:
    return re2_beginning(<const RE2 *> pattern, beginning, room)


cdef bint pattern_matches(const Pattern *pattern, const char *text, uint32_t size) noexcept nogil:
    return re2_matches(<const RE2 *> pattern, text, size)


PATH_LIMIT = PATH_MOST
VALUE_LIMIT = VALUE_MOST


cdef class Regex:
    """A compiled expression.

    Raises ValueError with the message of RE2 if `pattern` is invalid or needs too much memory.
    """

    cdef Pattern *_pattern
    cdef readonly str pattern

    def __cinit__(self, str pattern):
        cdef bytes encoded = pattern.encode()
        self._pattern = NULL
        self.pattern = pattern
        self._pattern = pattern_new(PyBytes_AS_STRING(encoded), <uint32_t> PyBytes_GET_SIZE(encoded))

    def __dealloc__(self):
        pattern_free(self._pattern)

    def __repr__(self):
        return f"Regex({self.pattern!r})"

    @property
    def instructions(self) -> int:
        """The size of its program."""
        return (<RE2 *> self._pattern).size()

    @property
    def beginning(self) -> bytes:
        """The prefix of every matching text, as far as it is known: at most 63 bytes."""
        cdef char beginning[63]
        return beginning[:pattern_beginning(self._pattern, beginning, sizeof(beginning))]

    def fullmatch(self, text: bytes | str) -> bool:
        """Whether all of `text` matches."""
        cdef bytes encoded = text.encode() if isinstance(text, str) else bytes(text)
        return pattern_matches(self._pattern, PyBytes_AS_STRING(encoded), <uint32_t> PyBytes_GET_SIZE(encoded))
