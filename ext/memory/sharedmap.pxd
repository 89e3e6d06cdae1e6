# A hash map from bytes to counted objects, whose copies share what is equal: a version of the tables is made from the
# previous one by copying the map and changing a few keys, whatever its size.
#
# The keys are in pieces of at most SPLIT keys. The first `depth` bits of a hash select an entry of a directory, which
# points to a piece. A piece with fewer bits of its own is in several entries, next to each other. A full piece is
# divided by one more bit, and if necessary the directory is doubled (extendible hashing): no key of another piece moves.
# A copy has a directory of its own and shares the pieces. A change copies the piece first, if another map has it too.
# The directory has at most 256 entries. If it has as many, pieces grow.
#
# The bytes of the keys belong to the values. A piece has a reference to each of its values.

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastroute.ext.memory.bytemap cimport ByteMap, Cell, bytes_hash, hashed_cell
from fastroute.ext.memory.graveyard cimport Grave


cdef enum:
    SPLIT = 128                 # keys that a piece has at most
    DEEPEST = 8                 # bits

cdef struct Piece:
    Grave grave                 # references: one for each entry of a directory
    ByteMap keys                # -> Grave
    uint8_t depth               # bits that all hashes in it have in common
    uint32_t longest            # bytes of its longest key

cdef struct SharedMap:
    Piece *only                 # the directory if depth is 0; NULL: no key was added yet
    Piece **pieces              # the directory otherwise
    uint64_t seed
    uint32_t used               # keys
    uint8_t depth               # bits that select an entry of the directory

cdef struct SharedCursor:       # of an iteration, at first zero
    uint32_t entry              # of the directory
    uint32_t cell               # of its piece


cdef inline Piece *piece_of(const SharedMap *map, uint64_t hash) noexcept nogil:
    return map.only if map.depth == 0 else map.pieces[hash >> (64 - map.depth)]


cdef inline void *sharedmap_find(const SharedMap *map, const char *data, uint32_t size) noexcept nogil:
    """NULL if the key is not in the map."""
    cdef uint64_t hash
    cdef const Piece *piece
    if map.used == 0:
        return NULL
    hash = bytes_hash(data, size, map.seed)
    piece = piece_of(map, hash)
    return NULL if piece.keys.cells == NULL else hashed_cell(&piece.keys, hash, 0, data, size).value


cdef void sharedmap_start(SharedMap *map) noexcept nogil            # empty
# Makes `map`, which is empty, a copy of `other`. MemoryError.
cdef int sharedmap_share(SharedMap *map, const SharedMap *other) except -1
# Adds a key that is not in the map, with a reference to its value. MemoryError.
cdef int sharedmap_put(SharedMap *map, const char *data, uint32_t size, Grave *value) except -1
# Removes a key, if the map has it, and the reference to its value. MemoryError.
cdef int sharedmap_remove(SharedMap *map, const char *data, uint32_t size) except -1
cdef uint32_t sharedmap_longest(const SharedMap *map) noexcept nogil    # bytes of the longest key
cdef void *sharedmap_next(const SharedMap *map, SharedCursor *cursor) noexcept nogil     # all values; NULL at the end
# Releases a part of it; true if nothing is left. `cursor` is 0 at first.
cdef bint sharedmap_release(SharedMap *map, uint32_t *cursor) noexcept nogil
