# Changes of a map whose pieces may be shared. A piece belongs to one map alone if all references to it are its entries
# in the directory of this map.

from libc.stdlib cimport calloc, free

from fastroute.ext.memory.bytemap cimport (
    bytemap_copy, bytemap_expect, bytemap_free_piece, bytemap_put, bytemap_remove, bytemap_start, bytemap_take,
    process_seed,
)
from fastroute.ext.memory.graveyard cimport bury, grave_unref

cdef enum:
    RELEASED = 64               # references that one step drops


cdef void sharedmap_start(SharedMap *map) noexcept nogil:
    map.only = NULL
    map.pieces = NULL
    map.seed = process_seed()
    map.used = 0
    map.depth = 0


cdef void *_allocate(uint32_t count, size_t size) except NULL:
    cdef void *memory = calloc(count, size)
    if memory == NULL:
        raise MemoryError
    return memory


cdef Piece **_directory(const SharedMap *map) noexcept nogil:
    return <Piece **> &map.only if map.depth == 0 else map.pieces


# --- pieces


cdef Piece *_piece_new(uint8_t depth, uint32_t keys) except NULL:
    """Without references, with room for that many keys."""
    cdef Piece *piece = <Piece *> _allocate(1, sizeof(Piece))
    piece.grave.dismantle = _dismantle
    piece.depth = depth
    bytemap_start(&piece.keys)
    try:
        bytemap_expect(&piece.keys, keys)
    except MemoryError:
        free(piece)
        raise
    return piece


cdef bint _dismantle(Grave *grave) noexcept nogil:
    cdef Piece *piece = <Piece *> grave
    cdef uint32_t count = piece.keys.mask + 1 if piece.keys.cells != NULL else 0
    cdef uint32_t end = min(grave.cursor + RELEASED, count)
    while grave.cursor < end:
        if piece.keys.cells[grave.cursor].value != NULL:
            grave_unref(<Grave *> piece.keys.cells[grave.cursor].value)
        grave.cursor += 1
    if end < count:
        return False
    grave.cursor = count
    if not bytemap_free_piece(&piece.keys):
        return False
    free(piece)
    return True


cdef void _measure(Piece *piece) noexcept nogil:
    """Sets `longest`."""
    cdef uint32_t i
    piece.longest = 0
    for i in range(piece.keys.mask + 1 if piece.keys.cells != NULL else 0):
        if piece.keys.cells[i].value != NULL:
            piece.longest = max(piece.longest, piece.keys.cells[i].size)


# --- the directory


cdef uint32_t _entries(const SharedMap *map, const Piece *piece) noexcept nogil:
    """How many entries a piece of the map has."""
    return <uint32_t> 1 << (map.depth - piece.depth)


cdef uint32_t _first_entry(const SharedMap *map, const Piece *piece, uint64_t hash) noexcept nogil:
    """The first entry of the piece for this hash."""
    return 0 if map.depth == 0 else <uint32_t> (hash >> (64 - map.depth)) & ~(_entries(map, piece) - 1)


cdef void _enter(Piece **entries, uint32_t count, Piece *piece) noexcept nogil:
    cdef uint32_t i
    for i in range(count):
        entries[i] = piece
    piece.grave.refs += count


cdef Piece *_own_piece(SharedMap *map, uint64_t hash) except NULL:
    """The piece for this hash, which no other map shares from now on."""
    cdef Piece *piece = piece_of(map, hash)
    cdef uint32_t count = _entries(map, piece)
    cdef Piece *copy
    cdef uint32_t i
    if piece.grave.refs == count:
        return piece
    copy = _piece_new(piece.depth, 0)
    try:
        bytemap_copy(&copy.keys, &piece.keys)
    except MemoryError:
        free(copy)
        raise
    copy.longest = piece.longest
    for i in range(copy.keys.mask + 1 if copy.keys.cells != NULL else 0):
        if copy.keys.cells[i].value != NULL:
            (<Grave *> copy.keys.cells[i].value).refs += 1
    piece.grave.refs -= count
    _enter(_directory(map) + _first_entry(map, piece, hash), count, copy)
    return copy


cdef int _double(SharedMap *map) except -1:
    """Each entry becomes two."""
    cdef uint32_t count = <uint32_t> 1 << map.depth
    cdef Piece **pieces = <Piece **> _allocate(2 * count, sizeof(Piece *))
    cdef Piece **before = _directory(map)
    cdef uint32_t i
    for i in range(count):
        pieces[2 * i] = pieces[2 * i + 1] = before[i]
        before[i].grave.refs += 1
    free(map.pieces)
    map.pieces = pieces
    map.only = NULL
    map.depth += 1
    return 0


cdef int _split(SharedMap *map, Piece *piece, uint64_t hash) except -1:
    """Divides the piece for this hash, which no other map shares, by the next bit. The references to the values move."""
    cdef uint32_t upper = 0
    cdef uint32_t i
    cdef int shift = 63 - piece.depth
    cdef const Cell *cell
    cdef Piece *halves[2]
    cdef Piece **entries
    if piece.depth == map.depth:
        _double(map)
    for i in range(piece.keys.mask + 1):
        if piece.keys.cells[i].value != NULL:
            upper += piece.keys.cells[i].hash >> shift & 1
    halves[0] = _piece_new(piece.depth + 1, piece.keys.used - upper)
    try:
        halves[1] = _piece_new(piece.depth + 1, upper)
    except MemoryError:
        bury(&halves[0].grave)
        raise
    for i in range(piece.keys.mask + 1):
        cell = &piece.keys.cells[i]
        if cell.value != NULL:
            bytemap_take(&halves[cell.hash >> shift & 1].keys, cell)
    i = _entries(map, piece) // 2
    entries = _directory(map) + _first_entry(map, piece, hash)
    _enter(entries, i, halves[0])
    _enter(entries + i, i, halves[1])
    _measure(halves[0])
    _measure(halves[1])
    while not bytemap_free_piece(&piece.keys):
        pass
    free(piece)
    return 0


# --- maps


cdef int sharedmap_share(SharedMap *map, const SharedMap *other) except -1:
    cdef uint32_t count = <uint32_t> 1 << other.depth
    cdef Piece **pieces = NULL
    cdef uint32_t i
    if other.depth:
        pieces = <Piece **> _allocate(count, sizeof(Piece *))
        for i in range(count):
            pieces[i] = other.pieces[i]
            pieces[i].grave.refs += 1
    elif other.only != NULL:
        other.only.grave.refs += 1
    map.only, map.pieces = other.only, pieces
    map.used, map.depth = other.used, other.depth
    return 0


cdef int sharedmap_put(SharedMap *map, const char *data, uint32_t size, Grave *value) except -1:
    cdef uint64_t hash = bytes_hash(data, size, map.seed)
    cdef Piece *piece
    if map.depth == 0 and map.only == NULL:
        _enter(&map.only, 1, _piece_new(0, 0))
    piece = _own_piece(map, hash)
    if piece.keys.used >= SPLIT and piece.depth < DEEPEST:
        _split(map, piece, hash)
        piece = piece_of(map, hash)
    bytemap_put(&piece.keys, 0, data, size, value)
    value.refs += 1
    piece.longest = max(piece.longest, size)
    map.used += 1
    return 0


cdef int sharedmap_remove(SharedMap *map, const char *data, uint32_t size) except -1:
    cdef uint64_t hash = bytes_hash(data, size, map.seed)
    cdef Piece *piece
    cdef Cell *cell
    cdef Grave *value
    if sharedmap_find(map, data, size) == NULL:
        return 0
    piece = _own_piece(map, hash)
    cell = hashed_cell(&piece.keys, hash, 0, data, size)
    value = <Grave *> cell.value
    bytemap_remove(&piece.keys, cell)
    map.used -= 1
    if size == piece.longest:
        _measure(piece)
    grave_unref(value)          # last: `data` may belong to it
    return 0


cdef uint32_t sharedmap_longest(const SharedMap *map) noexcept nogil:
    cdef Piece **pieces = _directory(map)
    cdef uint32_t longest = 0
    cdef uint32_t i
    for i in range(<uint32_t> 1 << map.depth):
        if pieces[i] != NULL:
            longest = max(longest, pieces[i].longest)
    return longest


cdef void *sharedmap_next(const SharedMap *map, SharedCursor *cursor) noexcept nogil:
    cdef Piece **pieces = _directory(map)
    cdef Piece *piece
    cdef void *value
    while cursor.entry < <uint32_t> 1 << map.depth:
        piece = pieces[cursor.entry]
        if piece == NULL:
            return NULL
        while piece.keys.cells != NULL and cursor.cell <= piece.keys.mask:
            value = piece.keys.cells[cursor.cell].value
            cursor.cell += 1
            if value != NULL:
                return value
        cursor.entry += _entries(map, piece)
        cursor.cell = 0
    return NULL


cdef bint sharedmap_release(SharedMap *map, uint32_t *cursor) noexcept nogil:
    cdef Piece **pieces = _directory(map)
    cdef uint32_t count = <uint32_t> 1 << map.depth
    cdef uint32_t end = min(cursor[0] + RELEASED, count)
    while cursor[0] < end:
        if pieces[cursor[0]] != NULL:
            grave_unref(&pieces[cursor[0]].grave)
        cursor[0] += 1
    if end < count:
        return False
    free(map.pieces)
    sharedmap_start(map)
    cursor[0] = 0
    return True
