# A hash map from bytes to pointers: filled once, then read by every request.
#
# Open addressing, at most half full, so a look-up touches one or two cache lines. The bytes of the keys belong to the
# values. Every key also has an owner number, so that one map can hold many small namespaces (the children of each node
# of a tree).
#
# The hash multiplies by a secret of the process, so that neither authors of routes nor clients can compute keys that
# collide. (With a public multiplier, keys whose words differ in one high bit collide for every seed.)

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp, memcpy


cdef struct Cell:
    void *value                 # NULL: free
    const char *data
    uint32_t size
    uint32_t owner
    uint64_t hash

cdef struct ByteMap:
    Cell *cells                 # NULL: the map is empty
    uint32_t mask               # number of cells minus 1; the number is a power of two
    uint32_t used
    uint64_t seed
    Growth *growth              # NULL unless it grows in steps

cdef struct Growth:
    Cell *cells                 # the new ones, until all keys are in them
    Cell *old                   # then the old ones, until they are freed
    uint32_t cells_count
    uint32_t old_count
    uint32_t cursor             # the next cell to move


cdef extern from * nogil:
    """
    static inline unsigned long long fastroute_fold(unsigned long long a, unsigned long long b) {
        __extension__ unsigned __int128 product = (unsigned __int128) a * b;
        return (unsigned long long) (product >> 64) ^ (unsigned long long) product;
    }
    """
    uint64_t fold "fastroute_fold"(uint64_t a, uint64_t b)


cdef inline uint64_t hash_secret(uint64_t seed) noexcept nogil:
    """The multiplier that belongs to a seed."""
    return (seed << 32 | seed >> 32) | 1


cdef inline uint64_t lower_word(uint64_t word) noexcept nogil:
    """Eight bytes, with ASCII letters in lower case."""
    cdef uint64_t low = word & <uint64_t> 0x7F7F7F7F7F7F7F7F
    cdef uint64_t upper = (low + <uint64_t> 0x3F3F3F3F3F3F3F3F) & ~(low + <uint64_t> 0x2525252525252525) & ~word
    return word | ((upper & <uint64_t> 0x8080808080808080) >> 2)


cdef inline uint64_t hash_of(const char *data, uint32_t size, uint64_t seed, bint lower) noexcept nogil:
    """Eight bytes at a time."""
    cdef uint64_t secret = hash_secret(seed)
    cdef uint64_t hash = seed ^ (size * <uint64_t> 0x9E3779B97F4A7C15)
    cdef uint64_t word
    while size >= 8:
        memcpy(&word, data, 8)
        hash = fold(hash ^ (lower_word(word) if lower else word), secret)
        data += 8
        size -= 8
    if size:
        word = 0
        memcpy(&word, data, size)
        hash = fold(hash ^ (lower_word(word) if lower else word), secret)
    return fold(hash, secret)


cdef inline uint64_t bytes_hash(const char *data, uint32_t size, uint64_t seed) noexcept nogil:
    return hash_of(data, size, seed, False)


cdef inline uint64_t lower_hash(const char *data, uint32_t size, uint64_t seed) noexcept nogil:
    """The same for names that differ only in the case of ASCII letters."""
    return hash_of(data, size, seed, True)


cdef inline Cell *bytemap_cell(const ByteMap *map, uint32_t owner, const char *data, uint32_t size) noexcept nogil:
    """The cell of this key, or the free cell where it would be added; NULL only while the map has no cells."""
    return NULL if map.cells == NULL else hashed_cell(map, bytes_hash(data, size, map.seed + owner), owner, data, size)


cdef inline Cell *hashed_cell(const ByteMap *map, uint64_t hash, uint32_t owner, const char *data,
                              uint32_t size) noexcept nogil:
    """`bytemap_cell` with the hash of the key; the map must have cells."""
    cdef uint32_t index = <uint32_t> hash & map.mask
    cdef Cell *cell
    while True:
        cell = &map.cells[index]
        if cell.value == NULL or (
            cell.hash == hash and cell.owner == owner and cell.size == size and memcmp(cell.data, data, size) == 0
        ):
            return cell
        index = (index + 1) & map.mask


cdef inline void *bytemap_find(const ByteMap *map, uint32_t owner, const char *data, uint32_t size) noexcept nogil:
    """NULL if the key is not in the map."""
    cdef Cell *cell = bytemap_cell(map, owner, data, size)
    return NULL if cell == NULL else cell.value


cdef uint64_t process_seed() noexcept nogil                         # the seed of all maps of this process
cdef void bytemap_start(ByteMap *map) noexcept nogil                # empty
cdef int bytemap_expect(ByteMap *map, uint32_t count) except -1 nogil   # reserves room for `count` keys; MemoryError
# Adds a key that is not in the map. The bytes must live as long as the map. MemoryError.
cdef int bytemap_put(ByteMap *map, uint32_t owner, const char *data, uint32_t size, void *value) except -1 nogil
# One step to make room for `more` keys. Call it until it returns false, then call `bytemap_put`: otherwise a large map
# grows in one step, which takes long. MemoryError.
cdef bint bytemap_widen(ByteMap *map, uint32_t more) except -1 nogil
# Adds a cell of another map with the same seed, if there is room for it: see `bytemap_expect`.
cdef void bytemap_take(ByteMap *map, const Cell *cell) noexcept nogil
cdef int bytemap_copy(ByteMap *map, const ByteMap *other) except -1 nogil   # `map` is empty. MemoryError
cdef void bytemap_remove(ByteMap *map, Cell *cell) noexcept nogil   # removes a key, given its cell
cdef void bytemap_free(ByteMap *map) noexcept nogil                 # frees the cells, not the values
cdef bint bytemap_free_piece(ByteMap *map) noexcept nogil           # frees a part of them; true if none is left
