# Unpredictable random bytes of the kernel for X-Request-ID, fetched in batches.
#
# A batch is used once and erased as it is used. After fork() the child does not see the parent's batch (MADV_WIPEONFORK),
# so two processes never use the same bytes. random.pxd is for load balancing, where numbers may be predictable.

from libc.stdint cimport uint8_t, uint32_t


cdef enum:
    BATCH = 4080                # bytes: 255 request ids for one system call of about 10 microseconds
    UUID_TEXT = 36              # bytes

cdef extern from "<sys/random.h>" nogil:
    ssize_t getrandom(void *buffer, size_t size, unsigned int flags)

ctypedef ssize_t (*Source)(void *buffer, size_t size, unsigned int flags) noexcept nogil

cdef struct Entropy:            # one page; its owner uses it in one thread
    Source source               # in a test; NULL: getrandom
    uint32_t left               # unused bytes: the first ones of `bytes`. 0 after fork()
    uint8_t bytes[BATCH]

# Raises OSError if there is no memory or the kernel gives no random bytes.
cdef Entropy *entropy_open() except NULL
cdef void entropy_close(Entropy *entropy) noexcept nogil
# Takes `size` bytes. False: the kernel gives none.
cdef bint entropy_take(Entropy *entropy, uint8_t *out, uint32_t size) noexcept nogil
# Writes UUID_TEXT bytes: a random UUID (RFC 9562 version 4). False: the kernel gives no random bytes.
cdef bint entropy_uuid(Entropy *entropy, char *out) noexcept nogil
