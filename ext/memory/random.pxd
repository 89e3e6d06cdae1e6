# Random numbers for load balancing: splitmix64, one uint64 of state. Not for secrets. Seeds come from the kernel.

from libc.stdint cimport uint32_t, uint64_t


cdef extern from "<sys/random.h>" nogil:
    ssize_t getrandom(void *buffer, size_t size, unsigned int flags)


cdef inline uint64_t random_seed() except? 0:
    """64 unpredictable bits."""
    cdef uint64_t seed = 0
    if getrandom(&seed, sizeof(seed), 0) != sizeof(seed):
        raise OSError("the kernel gives no random bytes")
    return seed


cdef inline uint64_t random_next(uint64_t *state) noexcept nogil:
    """64 uniformly distributed bits; any seed works."""
    cdef uint64_t z
    state[0] += <uint64_t> 0x9E3779B97F4A7C15
    z = state[0]
    z = (z ^ (z >> 30)) * <uint64_t> 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t> 0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline uint32_t random_below(uint64_t *state, uint32_t bound) noexcept nogil:
    """A number in [0, bound), uniform to within bound / 2**32; `bound` is not 0."""
    return <uint32_t> (((random_next(state) >> 32) * bound) >> 32)
